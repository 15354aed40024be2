#include "engine/experts/prefetch_trial.h"

namespace foregate::engine {

void PrefetchTrial::took(double seconds) {
  // The first step of a turn finds what the other kind of turn has left behind.
  if (trying() && steps_ % kTurn > 0) seconds_[on() ? 1 : 0] += seconds;
  ++steps_;
  if (steps_ == kTrial) {
    pays_ = seconds_[1] < seconds_[0] * (1 - kLeastGain);
    seconds_ = {};
  } else if (steps_ == kTrial + kRest) {
    steps_ = 0;
  }
}

}  // namespace foregate::engine
