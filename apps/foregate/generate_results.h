#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/run_context.h"
#include "collect/generation_trace.h"
#include "engine/generation/request.h"
#include "generate_output.h"
#include "generate_prompts.h"
#include "text/tokenizer/tokenizer.h"

namespace foregate {

/// Takes results to where they go: what is printed or written, and the trace.
class GenerationResults : public engine::GenerationListener {
 public:
  enum class Form {
    kText,     ///< as it comes
    kLines,    ///< of JSON
    kFile,     ///< the same in a file
    kDocument  ///< kept for a JSON document
  };

  /// All but `form` may be null, `file` not for Form::kFile.
  GenerationResults(Form form, const text::Tokenizer* tokenizer, GenerationFile* file,
                    collect::GenerationTrace* trace)
      : form_(form), tokenizer_(tokenizer), file_(file), trace_(trace) {}

  /// Whether an earlier run had the row's result, and its trace if there is to be one.
  bool had(int64_t row) const;
  /// The source had another prompt, whatever becomes of it.
  void count_prompt() { ++prompts_seen_; }
  int64_t prompts_seen() const { return prompts_seen_; }
  /// The prompt is run now.
  void expect(const Prompt& prompt) { prompts_[prompt.row] = prompt.text; }
  /// A prompt that cannot be run.
  void refuse(int64_t row, const std::string& why);

  void on_step(std::span<const engine::StepPart> parts) override;
  void on_text(int64_t id, std::string_view text) override;
  void on_result(const engine::GenerationResult& result) override;

  void show_progress(std::unique_ptr<ProgressTask> progress, int64_t done_before);
  void finish_progress();
  int64_t refused() const { return refused_; }
  const std::string& first_refusal() const { return first_refusal_; }
  /// Of Form::kDocument, in the order of the prompts.
  std::vector<Json> take_rows();

 private:
  void put(int64_t row, Json json);

  Form form_;
  const text::Tokenizer* tokenizer_;
  GenerationFile* file_;
  collect::GenerationTrace* trace_;
  std::map<int64_t, std::string> prompts_;
  std::unique_ptr<ProgressTask> progress_;
  int64_t prompts_seen_ = 0;
  int64_t finished_ = 0;
  int64_t refused_ = 0;
  std::string first_refusal_;
  std::vector<Json> rows_;
};

}  // namespace foregate
