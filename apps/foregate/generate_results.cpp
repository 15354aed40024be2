#include "generate_results.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "generate_report.h"
#include "output.h"

namespace foregate {

bool GenerationResults::had(int64_t row) const {
  if (file_ == nullptr && trace_ == nullptr) return false;
  return (file_ == nullptr || file_->done().contains(row)) &&
         (trace_ == nullptr || trace_->done().contains(row));
}

void GenerationResults::refuse(int64_t row, const std::string& why) {
  if (refused_++ == 0) first_refusal_ = fmt::format("row {}: {}", row, why);
  put(row, {{"row", row}, {"error", why}});
}

void GenerationResults::on_step(std::span<const engine::StepPart> parts) {
  if (trace_ != nullptr) trace_->on_step(parts);
}

void GenerationResults::on_text(int64_t /*id*/, std::string_view text) {
  if (form_ == Form::kText) print_text(text);
}

void GenerationResults::on_result(const engine::GenerationResult& result) {
  const bool whole = result.finish_reason != engine::FinishReason::kInterrupted;
  const auto prompt = prompts_.extract(result.id);
  if (form_ == Form::kText) {
    print_line("");
  } else if (whole || form_ != Form::kFile) {
    put(result.id, generation_row(result, prompt.mapped(), tokenizer_));
  }
  if (trace_ != nullptr) trace_->on_result(result);
  if (whole) ++finished_;
  if (progress_) progress_->update(finished_ + refused_);
}

void GenerationResults::show_progress(std::unique_ptr<ProgressTask> progress, int64_t done_before) {
  progress_ = std::move(progress);
  finished_ = done_before;
}

void GenerationResults::finish_progress() {
  if (progress_) progress_->finish();
  progress_.reset();
}

std::vector<Json> GenerationResults::take_rows() {
  std::ranges::stable_sort(rows_, {}, [](const Json& row) { return row["row"].get<int64_t>(); });
  return std::move(rows_);
}

void GenerationResults::put(int64_t row, Json json) {
  switch (form_) {
    case Form::kText:
      return;
    case Form::kLines:
      print_line(json_line(json));
      return;
    case Form::kFile:
      if (!file_->done().contains(row)) file_->append(json);
      return;
    case Form::kDocument:
      rows_.push_back(std::move(json));
      return;
  }
}

}  // namespace foregate
