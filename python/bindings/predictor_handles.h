#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "foregate/predictor.h"

namespace foregate::python {

/// The handle of foregate_predictor_load().
struct PredictorHandle {
  struct Free {
    void operator()(foregate_predictor* predictor) const { foregate_predictor_free(predictor); }
  };
  std::unique_ptr<foregate_predictor, Free> handle;
  foregate_predictor_info info{};
};

/// A sequence that one thread at a time may use: whoever comes second is refused instead of
/// spoiling what the first one does while it does not hold the GIL.
struct SequenceHandle {
  struct Free {
    void operator()(foregate_sequence* sequence) const { foregate_sequence_free(sequence); }
  };
  std::shared_ptr<const PredictorHandle> predictor;
  std::unique_ptr<foregate_sequence, Free> handle;
  int64_t tokens = 0;
  std::atomic<bool> busy = false;
};

/// Sequences of one predictor, each there once.
struct Batch {
  std::shared_ptr<const PredictorHandle> predictor;
  std::vector<std::shared_ptr<SequenceHandle>> sequences;
  std::vector<foregate_sequence*> handles;  ///< of the same
};

/// Holds sequences for the time of a call. Raises UsageError if another thread uses one.
class InUse {
 public:
  explicit InUse(SequenceHandle& sequence) { take(sequence); }
  explicit InUse(Batch& batch);
  ~InUse();
  InUse(const InUse&) = delete;
  InUse& operator=(const InUse&) = delete;

 private:
  void take(SequenceHandle& sequence);

  std::vector<SequenceHandle*> taken_;
};

}  // namespace foregate::python
