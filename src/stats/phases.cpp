#include "stats/phases.h"

namespace foregate::stats {

void PhaseUsage::add(const trace::Trace& trace) {
  if (trace.prompt_tokens <= 0 || trace.prompt_tokens >= trace.num_tokens()) return;
  prompt_.add(trace, 0, trace.prompt_tokens);
  generated_.add(trace, trace.prompt_tokens, trace.num_tokens());
}

void PhaseUsage::merge(const PhaseUsage& other) {
  prompt_.merge(other.prompt_);
  generated_.merge(other.generated_);
}

}  // namespace foregate::stats
