#include "scoring/counting/id_table.h"

#include <algorithm>

#include "scoring/constants.h"
#include "scoring/sorted_ids.h"

namespace foregate::scoring {

IdTable::IdTable(const Weights& weights, const trace::Geometry& geometry, const char* totals,
                 const char* counts, const char* frequency)
    : num_layers_(geometry.num_moe_layers),
      num_experts_(geometry.num_experts),
      ids_(weights.id_list("ids")),
      totals_(weights.integers(totals, {std::ssize(ids_)})),
      counts_(weights.integers(counts, {std::ssize(ids_), num_layers_, num_experts_})),
      frequency_(weights.floats(frequency, {num_layers_, num_experts_})) {}

int64_t IdTable::slot(int64_t id) const {
  return index_of(ids_, id);
}

void IdTable::probability(int64_t slot, int64_t layer, float* out) const {
  const float* frequency = frequency_ + layer * num_experts_;
  if (slot < 0) {
    std::copy_n(frequency, num_experts_, out);
    return;
  }
  const int32_t* counts = counts_ + (slot * num_layers_ + layer) * num_experts_;
  const float total = static_cast<float>(totals_[slot]) + kTablePseudoCounts;
  for (int64_t e = 0; e < num_experts_; ++e) {
    out[e] = (static_cast<float>(counts[e]) + kTablePseudoCounts * frequency[e]) / total;
  }
}

}  // namespace foregate::scoring
