#include "scoring/counting/pair_table.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "scoring/sorted_ids.h"

namespace foregate::scoring {

PairTable::PairTable(const Weights& weights, const trace::Geometry& geometry)
    : num_layers_(geometry.num_moe_layers),
      num_experts_(geometry.num_experts),
      top_k_(geometry.top_k),
      ids_(weights.id_list("pair_ids")),
      begin_(weights.long_integers("pair_begin", {std::ssize(ids_) + 1})) {
  const int64_t decisions = weights.size("pair_experts", 3, 0);
  experts_ = weights.short_integers("pair_experts", {decisions, num_layers_, top_k_});
  const int64_t* end = begin_ + ids_.size() + 1;
  const bool ordered = std::is_sorted(begin_, end) && begin_[0] == 0 && end[-1] == decisions;
  const bool known = std::all_of(experts_, experts_ + decisions * num_layers_ * top_k_,
                                 [&](int16_t e) { return e >= 0 && e < num_experts_; });
  if (ordered && known) return;
  throw DataError(fmt::format(
      "{}: \"pair_begin\" and \"pair_experts\" do not fit each other or the {} experts of the "
      "model; train the predictor again",
      weights.where(), num_experts_));
}

int64_t PairTable::find(int64_t pair) const {
  return index_of(ids_, pair);
}

int64_t PairTable::count(int64_t place, int64_t layer, float* out) const {
  std::fill_n(out, num_experts_, 0.0F);
  if (place < 0) return 0;
  for (int64_t m = begin_[place]; m < begin_[place + 1]; ++m) {
    const int16_t* chosen = experts_ + (m * num_layers_ + layer) * top_k_;
    for (int64_t i = 0; i < top_k_; ++i) out[chosen[i]] += 1;
  }
  return begin_[place + 1] - begin_[place];
}

}  // namespace foregate::scoring
