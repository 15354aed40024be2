#include "scoring/neural/state_scorer.h"

#include <algorithm>
#include <cmath>

namespace foregate::scoring {

std::vector<const float*> StateScorer::states_for(std::span<const Sequence* const> sequences,
                                                  int64_t layer) const {
  std::vector<const float*> states;
  states.reserve(sequences.size());
  for (const Sequence* sequence : sequences) {
    states.push_back(sequence->history.state(row_of(layer)));
  }
  return states;
}

BatchRows::BatchRows(size_t count, int64_t width)
    : own_(count * static_cast<size_t>(width)), rows_(count) {
  for (size_t i = 0; i < count; ++i) rows_[i] = own_.data() + i * static_cast<size_t>(width);
}

BatchRows::BatchRows(float* rows, size_t count, int64_t width, const float* initial)
    : rows_(count) {
  for (float*& row : rows_) {
    row = rows;
    rows += width;
    if (initial != nullptr) {
      std::copy_n(initial, width, row);
    } else {
      std::fill_n(row, width, 0.0F);
    }
  }
}

void silu(float* values, int64_t size) {
  for (int64_t i = 0; i < size; ++i) values[i] /= 1.0F + std::exp(-values[i]);
}

}  // namespace foregate::scoring
