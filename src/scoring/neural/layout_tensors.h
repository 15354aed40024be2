#pragma once

#include <string_view>
#include <utility>

#include "scoring/neural/layout.h"
#include "scoring/weights.h"

namespace foregate::scoring {

/// The tensors of a layout among the weights, where they must have its shapes.
class LayoutTensors {
 public:
  LayoutTensors(const Weights& weights, Layout layout)
      : weights_(weights), layout_(std::move(layout)) {}

  /// Throws DataError if it is not there as the layout says.
  const float* operator[](std::string_view name) const {
    return weights_.floats(name, layout_.shape(name));
  }

 private:
  const Weights& weights_;
  Layout layout_;
};

}  // namespace foregate::scoring
