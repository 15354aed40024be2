#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "scoring/scorer.h"

namespace foregate::scoring {

/// Base of the predictors that read hidden states. Their tensors have a row for each predictable
/// layer; that of layer l belongs to the state of layer l - h (layer-h) or l (pre-attention).
class StateScorer : public Scorer {
 public:
  using Scorer::Scorer;

  Needs needs() const override { return {.state = true}; }

 protected:
  int64_t num_rows() const { return num_layers() - first_layer(); }  // L'
  int64_t hidden_size() const { return geometry().hidden_size; }
  int64_t row_of(int64_t layer) const { return layer - first_layer(); }
  /// What each sequence shows for predicting a layer, [H] each.
  std::vector<const float*> states_for(std::span<const Sequence* const> sequences,
                                       int64_t layer) const;
};

/// One row of floats for each sequence of a batch.
class BatchRows {
 public:
  /// Rows of its own, zeros at first.
  BatchRows(size_t count, int64_t width);
  /// The caller's rows, one after the other; filled with zeros, or with `initial` [width].
  BatchRows(float* rows, size_t count, int64_t width, const float* initial = nullptr);

  size_t size() const { return rows_.size(); }
  float* operator[](size_t row) const { return rows_[row]; }
  std::span<float* const> outs() const { return rows_; }
  std::vector<const float*> vectors() const { return {rows_.begin(), rows_.end()}; }

 private:
  std::vector<float> own_;
  std::vector<float*> rows_;
};

/// values[i] = values[i] * sigmoid(values[i])
void silu(float* values, int64_t size);

}  // namespace foregate::scoring
