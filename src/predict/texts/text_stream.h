#pragma once

#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "predict/texts/routed_text.h"

namespace foregate::predict {

/// Training texts that pass through memory of a constant size while trainings draw their batches
/// from what is there: for training straight from a running model. Hidden states lie on the
/// model's device, everything else on the CPU.
class TextStream {
 public:
  TextStream() = default;
  virtual ~TextStream() = default;
  TextStream(const TextStream&) = delete;
  TextStream& operator=(const TextStream&) = delete;

  /// Moves on to the texts that a training finds which has done this share of its steps, from 0 to
  /// 1. They are a function of the share alone, so that a resumed training goes on as an
  /// uninterrupted one. Shares must not fall.
  virtual void advance_to(double share) = 0;
  /// The texts at hand; valid until the next move.
  virtual const std::vector<RoutedText>& texts() const = 0;
  /// Changes whenever texts() does.
  virtual int64_t version() const = 0;

  /// Validation texts to choose the best parameters by: a spread sample of a size of its own.
  virtual const std::vector<RoutedText>& validation() const = 0;
  /// [S] int64, ascending: the ids of all training texts, also those that are still to come.
  virtual const torch::Tensor& ids() const = 0;
};

}  // namespace foregate::predict
