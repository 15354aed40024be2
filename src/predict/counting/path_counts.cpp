#include "predict/counting/path_counts.h"

#include <ATen/Parallel.h>
#include <torch/types.h>

#include <algorithm>
#include <functional>
#include <utility>
#include <vector>

#include "predict/counting/routing_counts.h"
#include "scoring/counting/path_ids.h"

namespace foregate::predict {
namespace {

constexpr int64_t kFewestTokensOfPath = 2;  // what was seen once says little for its place

using PathTensors = std::map<std::string, torch::Tensor>;

/// The tokens that came by one path, as places in a sorted list.
struct Run {
  int64_t begin = 0;
  int64_t size = 0;
};

/// The tokens of one layer, sorted by the id of one of their paths, and where ids repeat.
struct SortedPath {
  std::vector<std::pair<int64_t, int32_t>> tokens;  // id and token
  std::vector<Run> runs;
};

SortedPath sorted_by(std::vector<std::pair<int64_t, int32_t>> tokens) {
  SortedPath sorted{std::move(tokens), {}};
  std::sort(sorted.tokens.begin(), sorted.tokens.end());
  const auto size = static_cast<int64_t>(sorted.tokens.size());
  for (int64_t begin = 0, end = 0; begin < size; begin = end) {
    const int64_t id = sorted.tokens[static_cast<size_t>(begin)].first;
    while (end < size && sorted.tokens[static_cast<size_t>(end)].first == id) ++end;
    if (id >= 0 && end - begin >= kFewestTokensOfPath) sorted.runs.push_back({begin, end - begin});
  }
  return sorted;
}

/// Leaves the `most` largest runs, the first ones of equals.
void keep_frequent(std::vector<SortedPath>& paths, int64_t most) {
  std::vector<int64_t> sizes;
  for (const SortedPath& path : paths) {
    for (const Run& run : path.runs) sizes.push_back(run.size);
  }
  if (static_cast<int64_t>(sizes.size()) <= most) return;
  const auto last = sizes.begin() + std::max<int64_t>(most - 1, 0);
  std::nth_element(sizes.begin(), last, sizes.end(), std::greater<>());
  const int64_t smallest = *last;
  int64_t equals = most - std::count_if(sizes.begin(), sizes.end(),
                                        [&](int64_t size) { return size > smallest; });
  for (SortedPath& path : paths) {
    std::erase_if(path.runs, [&](const Run& run) {
      return run.size < smallest || (run.size == smallest && equals-- <= 0);
    });
  }
}

/// Collects the tensors of a table.
class Writer {
 public:
  Writer(const torch::Tensor& decisions, const trace::Geometry& geometry)
      : decisions_(decisions), sums_(static_cast<size_t>(geometry.num_experts)) {}

  void add(const SortedPath& path, const Run& run, int64_t layer) {
    const int64_t layers = decisions_.size(1);
    const int64_t top_k = decisions_.size(2);
    const auto* decision = decisions_.const_data_ptr<int16_t>();
    std::vector<int16_t> seen;
    for (int64_t i = run.begin; i < run.begin + run.size; ++i) {
      const int64_t token = path.tokens[static_cast<size_t>(i)].second;
      for (int64_t j = 0; j < top_k; ++j) {
        const int16_t expert = decision[(token * layers + layer) * top_k + j];
        if (sums_[static_cast<size_t>(expert)]++ == 0) seen.push_back(expert);
      }
    }
    std::sort(seen.begin(), seen.end());
    for (const int16_t expert : seen) {
      experts_.push_back(expert);
      counts_.push_back(std::exchange(sums_[static_cast<size_t>(expert)], 0));
    }
    ids_.push_back(path.tokens[static_cast<size_t>(run.begin)].first);
    begin_.push_back(static_cast<int64_t>(experts_.size()));
  }

  PathTensors tensors() const {
    return {{"path_ids", torch::tensor(ids_, torch::kInt64)},
            {"path_begin", torch::tensor(begin_, torch::kInt64)},
            {"path_experts", torch::tensor(experts_, torch::kInt16)},
            {"path_counts", torch::tensor(counts_, torch::kInt32)}};
  }

 private:
  const torch::Tensor& decisions_;
  std::vector<int32_t> sums_;  // [E], zero between paths
  std::vector<int64_t> ids_;
  std::vector<int64_t> begin_ = {0};
  std::vector<int16_t> experts_;
  std::vector<int32_t> counts_;
};

}  // namespace

PathTensors count_paths(const torch::Tensor& decisions, const trace::Geometry& geometry,
                        int64_t distance, int64_t most) {
  const torch::Tensor rows = decisions.contiguous();
  const scoring::PathIds paths(geometry, distance, RoutingCounts::kWindow);
  const int64_t layers = geometry.num_moe_layers;
  const int64_t tokens = rows.size(0);
  const auto* decision = rows.const_data_ptr<int16_t>();
  Writer writer(rows, geometry);
  for (int64_t l = distance; l < layers; ++l) {
    std::vector<std::vector<std::pair<int64_t, int32_t>>> ids(
        static_cast<size_t>(paths.num_paths()));
    std::vector<int64_t> numbers(ids.size());
    for (auto& list : ids) list.reserve(static_cast<size_t>(tokens));
    for (int64_t t = 0; t < tokens; ++t) {
      paths.number(l, decision + t * layers * geometry.top_k, numbers);
      for (size_t path = 0; path < ids.size(); ++path) {
        if (numbers[path] >= 0) ids[path].emplace_back(numbers[path], static_cast<int32_t>(t));
      }
    }
    std::vector<SortedPath> sorted(ids.size());
    at::parallel_for(0, paths.num_paths(), 1, [&](int64_t first, int64_t last) {
      for (auto i = static_cast<size_t>(first); i < static_cast<size_t>(last); ++i) {
        sorted[i] = sorted_by(std::move(ids[i]));
      }
    });
    keep_frequent(sorted, most / (layers - distance));
    for (const SortedPath& path : sorted) {
      for (const Run& run : path.runs) writer.add(path, run, l);
    }
  }
  return writer.tensors();
}

}  // namespace foregate::predict
