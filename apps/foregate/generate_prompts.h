#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "text/tokenizer/tokenizer.h"

namespace foregate {

/// What is to be continued: a text, or ids that somebody else made of one.
struct Prompt {
  int64_t row = 0;  ///< in its source, counted from 0 over all rows
  std::string text;
  std::vector<int32_t> ids;
};

/// Prompts one by one, from wherever they come.
class PromptSource {
 public:
  virtual ~PromptSource() = default;
  /// False behind the last.
  virtual bool next(Prompt& prompt) = 0;
  /// "column 'text' of prompts.csv"
  virtual std::string description() const = 0;
  /// SHA-256 of all that prompts are read from; empty if interactive().
  virtual std::string sha256() const = 0;
  /// Whether somebody waits for each answer before giving the next prompt.
  virtual bool interactive() const { return false; }
  /// Whether prompts come as ids.
  virtual bool gives_ids() const { return false; }
  /// Rows that were no prompts, by reason.
  virtual std::map<std::string, int64_t> skipped() const { return {}; }
};

/// One prompt.
std::unique_ptr<PromptSource> single_prompt(std::string text);
/// FILE[:COLUMN]: every format of --data, a row a prompt; of JSON lines with "ids" these. Throws as
/// text::open_dataset().
std::unique_ptr<PromptSource> prompts_of_file(const std::string& argument);
/// Standard input: a terminal's lines, each when the one before is answered; else all of it as one
/// prompt. Throws UsageError if there is nothing.
std::unique_ptr<PromptSource> prompts_of_standard_input();

}  // namespace foregate
