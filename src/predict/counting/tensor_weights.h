#pragma once

#include <string>

#include "predict/predictor.h"
#include "scoring/weights.h"

namespace foregate::predict {

/// Tensors on the CPU as the scoring core takes them.
class TensorWeights : public scoring::Weights {
 public:
  /// `where` names them in errors.
  TensorWeights(const NamedTensors& tensors, std::string where);

  scoring::TensorView get(std::string_view name) const override;
  std::string where() const override { return where_; }

 private:
  NamedTensors tensors_;  // contiguous
  std::string where_;
};

}  // namespace foregate::predict
