#pragma once

#include <cstdint>

#include "base/json.h"
#include "predict/settings.h"
#include "predict/training/loss.h"

namespace foregate::predict {

/// How the gradient-trained predictors are trained, and by default.
struct TrainerSettings {
  Loss loss = Loss::kBinary;
  int64_t steps = 1500;
  int64_t batch_tokens = 4096;
  int64_t run_tokens = 1;  ///< consecutive tokens drawn together: fewer, longer reads on slow disks
  double learning_rate = 2e-3;  ///< of AdamW; falls to 0 along a cosine
  double weight_decay = 1e-3;
  double clip_norm = 0;      ///< longer gradients, all taken together, are cut to this; 0: never
  int64_t warmup_steps = 0;  ///< steps in which the learning rate first rises from 0
  int64_t validate_every = 100;      ///< steps
  int64_t validation_tokens = 8192;  ///< at most, spread over the validation texts
  int64_t patience = 5;  ///< validations without a new best before stopping; 0: never stop
  int64_t checkpoint_seconds = 60;

  /// Reads what is there, `defaults` for the rest. Throws DataError for values out of range.
  static TrainerSettings from_json(const JsonReader& reader, const TrainerSettings& defaults);
  /// By name, as from_json() reads them.
  Settings list() const;
};

}  // namespace foregate::predict
