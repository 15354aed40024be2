#include "scoring/counting/path_evidence.h"

#include <fmt/format.h>

#include "base/error.h"

namespace foregate::scoring {

PathEvidence::PathEvidence(const trace::Geometry& geometry, std::span<const int64_t> ids,
                           std::span<const int64_t> begin, std::span<const int16_t> experts,
                           std::span<const int32_t> counts, const std::string& where)
    : top_k_(geometry.top_k), ids_(ids), begin_(begin), experts_(experts), counts_(counts) {
  const bool fits = begin.size() == ids.size() + 1 && counts.size() == experts.size();
  const bool ordered = fits && std::is_sorted(begin.begin(), begin.end()) && begin.front() == 0 &&
                       begin.back() == static_cast<int64_t>(experts.size());
  const bool known = std::all_of(experts.begin(), experts.end(), [&](int16_t expert) {
    return expert >= 0 && expert < geometry.num_experts;
  });
  const bool positive =
      std::all_of(counts.begin(), counts.end(), [](int32_t count) { return count >= 0; });
  if (ordered && known && positive) return;
  throw DataError(fmt::format(
      "{}: \"path_begin\", \"path_experts\" and \"path_counts\" do not fit each other or the {} "
      "experts of the model; train the predictor again",
      where, geometry.num_experts));
}

std::ptrdiff_t PathEvidence::find(int64_t id) const {
  const auto found = std::lower_bound(ids_.begin(), ids_.end(), id);
  return found != ids_.end() && *found == id ? found - ids_.begin() : -1;
}

}  // namespace foregate::scoring
