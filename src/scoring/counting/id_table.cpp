#include "scoring/counting/id_table.h"

#include <algorithm>
#include <cmath>

namespace foregate::scoring {
namespace {

constexpr float kPseudoCounts = 4;
constexpr float kSmallest = 1e-6F;

}  // namespace

float safe_log(float probability) {
  return std::log(std::max(probability, kSmallest));
}

IdTable::IdTable(WeightFile& weights, const trace::Geometry& geometry, const char* totals,
                 const char* counts, const char* frequency)
    : num_layers_(geometry.num_moe_layers),
      num_experts_(geometry.num_experts),
      num_ids_(weights.size("ids", 1, 0)),
      ids_(weights.long_integers("ids", {num_ids_})),
      totals_(weights.integers(totals, {num_ids_})),
      counts_(weights.integers(counts, {num_ids_, num_layers_, num_experts_})),
      frequency_(weights.floats(frequency, {num_layers_, num_experts_})) {}

int64_t IdTable::slot(int64_t id) const {
  const int64_t* end = ids_ + num_ids_;
  const int64_t* found = std::lower_bound(ids_, end, id);
  return found != end && *found == id ? found - ids_ : -1;
}

void IdTable::probability(int64_t slot, int64_t layer, float* out) const {
  const float* frequency = frequency_ + layer * num_experts_;
  if (slot < 0) {
    std::copy_n(frequency, num_experts_, out);
    return;
  }
  const int32_t* counts = counts_ + (slot * num_layers_ + layer) * num_experts_;
  const float total = static_cast<float>(totals_[slot]) + kPseudoCounts;
  for (int64_t e = 0; e < num_experts_; ++e) {
    out[e] = (static_cast<float>(counts[e]) + kPseudoCounts * frequency[e]) / total;
  }
}

}  // namespace foregate::scoring
