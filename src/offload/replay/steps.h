#pragma once

#include <cstdint>
#include <vector>

#include "offload/replay/text_source.h"

namespace foregate::offload {

/// In which steps an engine runs the texts.
struct ScheduleOptions {
  /// So many texts are open at a time and take their steps in turn.
  int64_t sequences = 1;
  /// Every text begins with an empty cache; only with one sequence.
  bool cold = false;
  /// Tokens of a prompt go in steps of up to so many; 0: one by one, as if they were generated.
  int64_t prompt_batch = 0;
};

/// Throws UsageError for options that cannot be meant.
void check_schedule(const ScheduleOptions& options);

/// One step: so many tokens of one text.
struct Step {
  int64_t number = 0;  ///< from 0, over all texts
  int64_t text_number = 0;
  int32_t sequence = 0;  ///< which of those that are open
  const trace::Trace* text = nullptr;
  int32_t first_token = 0;
  int32_t num_tokens = 0;
  bool prompt = false;  ///< several tokens of the prompt; else one that is generated
  bool begins_text = false;
  bool ends_text = false;
};

/// The steps of all texts. Holds the open texts and nothing else.
class StepStream {
 public:
  StepStream(TextSource& texts, const ScheduleOptions& options);

  /// False at the end. The text is valid until the next call.
  bool next(Step& step);
  void rewind();

 private:
  struct Open {
    trace::Trace text;
    int64_t number = -1;  // -1: not there
    int32_t position = 0;
  };
  bool fill(Open& open);

  TextSource& texts_;
  ScheduleOptions options_;
  std::vector<Open> open_;
  size_t turn_ = 0;
  int64_t next_text_ = 0;
  int64_t next_step_ = 0;
  bool exhausted_ = false;
};

}  // namespace foregate::offload
