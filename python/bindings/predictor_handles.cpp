#include "predictor_handles.h"

#include "errors.h"

namespace foregate::python {

InUse::InUse(Batch& batch) {
  try {
    for (const auto& sequence : batch.sequences) take(*sequence);
  } catch (...) {
    for (SequenceHandle* sequence : taken_) sequence->busy = false;
    throw;
  }
}

InUse::~InUse() {
  for (SequenceHandle* sequence : taken_) sequence->busy = false;
}

void InUse::take(SequenceHandle& sequence) {
  if (sequence.busy.exchange(true)) {
    throw_error(
        "UsageError",
        "a sequence is used by two threads at once; give each thread sequences of its own, or a "
        "lock");
  }
  taken_.push_back(&sequence);
}

}  // namespace foregate::python
