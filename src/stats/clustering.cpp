#include "stats/clustering.h"

#include <algorithm>
#include <limits>
#include <numeric>
#include <utility>

namespace foregate::stats {
namespace {

struct Pair {
  size_t a = 0;
  size_t b = 0;
  double distance = std::numeric_limits<double>::infinity();
};

Pair nearest(const std::vector<double>& distances, const std::vector<int>& ids) {
  const size_t n = ids.size();
  Pair best;
  for (size_t a = 0; a < n; ++a) {
    if (ids[a] < 0) continue;
    for (size_t b = a + 1; b < n; ++b) {
      if (ids[b] >= 0 && distances[a * n + b] < best.distance) best = {a, b, distances[a * n + b]};
    }
  }
  return best;
}

}  // namespace

std::vector<Merge> average_linkage(std::vector<double> distances, int n) {
  const auto count = static_cast<size_t>(n);
  std::vector<int> ids(count);  // of the cluster in each row; -1: gone into another
  std::iota(ids.begin(), ids.end(), 0);
  std::vector<double> sizes(count, 1);
  std::vector<Merge> merges;
  for (int step = 0; step + 1 < n; ++step) {
    const Pair pair = nearest(distances, ids);
    const auto [first, second] = std::minmax(ids[pair.a], ids[pair.b]);
    merges.push_back({first, second, pair.distance});
    const double size = sizes[pair.a] + sizes[pair.b];
    for (size_t other = 0; other < count; ++other) {
      const double mean = (sizes[pair.a] * distances[pair.a * count + other] +
                           sizes[pair.b] * distances[pair.b * count + other]) /
                          size;
      distances[pair.a * count + other] = distances[other * count + pair.a] = mean;
    }
    sizes[pair.a] = size;
    ids[pair.a] = n + step;
    ids[pair.b] = -1;
  }
  return merges;
}

std::vector<int> leaf_order(const std::vector<Merge>& merges, int n) {
  std::vector<int> order;
  std::vector<int> open = {n + static_cast<int>(merges.size()) - 1};
  while (!open.empty() && n > 0) {
    const int cluster = open.back();
    open.pop_back();
    if (cluster < n) {
      order.push_back(cluster);
      continue;
    }
    const Merge& merge = merges[static_cast<size_t>(cluster - n)];
    open.push_back(merge.second);
    open.push_back(merge.first);
  }
  return order;
}

}  // namespace foregate::stats
