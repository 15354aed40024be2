#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "engine/step.h"
#include "offload/prediction/foresight.h"
#include "trace/geometry.h"
#include "trace/trace.h"

namespace foregate::engine {

/// Makes what foresees the experts of so many texts that grow at once.
using MakeForesight = std::function<std::unique_ptr<offload::Foresight>(int64_t sequences)>;

/// Tells a foresight of an engine's steps as a replay tells it of a trace's: of every text from its
/// first token on. Texts that it has not seen from there (cut, forked, too many at once) are left
/// out until they begin anew.
class LiveForesight {
 public:
  LiveForesight(const trace::Geometry& geometry, const MakeForesight& make, int64_t sequences);

  // Each appends the guesses that become possible. Guesses are of single tokens; prompts are told
  // of when their step is over.

  void begin_step(const StepBatch& batch, std::span<const int64_t> past, int64_t number,
                  std::vector<offload::Guess>& guesses);
  void at_layer(int layer, std::vector<offload::Guess>& guesses);
  /// `chosen` [T, k] of the whole step.
  void at_router(int layer, std::span<const int64_t> chosen, std::vector<offload::Guess>& guesses);
  void end_step();
  /// The step that began is as if it had not been.
  void abandon_step();

 private:
  struct Text {
    trace::Trace told;
    bool followed = false;
  };
  // A text's part of the step that runs.
  struct Part {
    Text* text;
    offload::Step step;
    size_t first_row = 0;  // in the batch
  };

  trace::Geometry geometry_;
  std::unique_ptr<offload::Foresight> foresight_;
  std::vector<Text> texts_;  // by sequence of the cache
  std::vector<Part> parts_;
};

}  // namespace foregate::engine
