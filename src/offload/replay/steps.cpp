#include "offload/replay/steps.h"

#include <algorithm>

#include "base/error.h"

namespace foregate::offload {

void check_schedule(const ScheduleOptions& options) {
  if (options.cold && options.sequences > 1) {
    throw UsageError(
        "a cache cannot be empty at the beginning of every text while several texts take turns; "
        "replay one sequence at a time, or keep the cache from text to text");
  }
}

StepStream::StepStream(TextSource& texts, const ScheduleOptions& options)
    : texts_(texts), options_(options), open_(static_cast<size_t>(options.sequences)) {}

void StepStream::rewind() {
  texts_.rewind();
  for (Open& open : open_) open.number = -1;
  turn_ = 0;
  next_text_ = 0;
  next_step_ = 0;
  exhausted_ = false;
}

bool StepStream::fill(Open& open) {
  const bool over = open.number < 0 || open.position == open.text.num_tokens();
  if (!over) return true;
  open.number = -1;
  while (!exhausted_) {
    exhausted_ = !texts_.next(open.text);
    if (exhausted_) break;
    const int64_t number = next_text_++;
    if (open.text.num_tokens() == 0) continue;
    open.number = number;
    open.position = 0;
    return true;
  }
  return false;
}

bool StepStream::next(Step& step) {
  for (size_t tried = 0; tried < open_.size(); ++tried) {
    const size_t sequence = turn_;
    turn_ = (turn_ + 1) % open_.size();
    Open& open = open_[sequence];
    if (!fill(open)) continue;
    const int32_t left = open.text.prompt_tokens - open.position;
    step.prompt = options_.prompt_batch > 0 && left > 0;
    step.num_tokens =
        step.prompt ? static_cast<int32_t>(std::min<int64_t>(options_.prompt_batch, left)) : 1;
    step.number = next_step_++;
    step.text_number = open.number;
    step.sequence = static_cast<int32_t>(sequence);
    step.text = &open.text;
    step.first_token = open.position;
    step.begins_text = open.position == 0;
    open.position += step.num_tokens;
    step.ends_text = open.position == open.text.num_tokens();
    return true;
  }
  return false;
}

}  // namespace foregate::offload
