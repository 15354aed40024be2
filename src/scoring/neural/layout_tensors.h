#pragma once

#include <utility>

#include "scoring/neural/layout.h"
#include "scoring/weight_file.h"

namespace foregate::scoring {

/// The tensors of a layout in a file, in which they must have its shapes.
class LayoutTensors {
 public:
  LayoutTensors(WeightFile& weights, Layout layout)
      : weights_(weights), layout_(std::move(layout)) {}

  /// Throws DataError if the file does not hold it as the layout says.
  const float* operator[](const char* name) const {
    return weights_.floats(name, layout_.shape(name));
  }

 private:
  WeightFile& weights_;
  Layout layout_;
};

}  // namespace foregate::scoring
