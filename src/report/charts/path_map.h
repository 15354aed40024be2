#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "report/charts/svg.h"

namespace foregate::report {

/// One text's way through the model: a cell for each layer and token, coloured by the decision's
/// first expert.
struct PathMap {
  static constexpr int kColors = 12;

  std::string label;
  std::string description;
  std::vector<std::string> layers;  ///< Names of the rows, from above
  std::vector<std::string> tokens;  ///< Of the columns, as they are to be read
  int top_k = 0;
  std::vector<uint16_t> experts;  ///< [tokens][layers][k]
  /// [tokens][layers][k], 1 where a predictor had the expert; empty: no predictor. Decisions of
  /// layers before first_layer cannot be predicted.
  std::vector<uint8_t> found;
  int first_layer = 0;
};

/// Decisions with missed experts are marked. Cells of equal colour in a row are one stroke. All
/// experts travel in a data attribute (two characters of base64url each) for the page's script,
/// which names them on hover. The colour is the expert's number modulo kColors.
Chart draw(const PathMap& map);

}  // namespace foregate::report
