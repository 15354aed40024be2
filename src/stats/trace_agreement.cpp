#include "stats/trace_agreement.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <optional>

#include "base/error.h"
#include "stats/balance.h"
#include "stats/sums.h"

namespace foregate::stats {
namespace {

constexpr size_t kBins = 32;

/// 0, 1, 2 to 3, 4 to 7, ...
size_t bin_of(int position) {
  return static_cast<size_t>(std::bit_width(static_cast<unsigned>(position)));
}

int common_of(const uint16_t* a, const uint16_t* b, int k) {
  int common = 0;
  for (int i = 0; i < k; ++i) common += static_cast<int>(std::count(b, b + k, a[i]));
  return common;
}

/// A trace's texts one after another, over all shards.
class TextStream {
 public:
  explicit TextStream(const trace::TraceDirectory& directory) : directory_(directory) {}

  bool next(trace::Trace& trace) {
    while (true) {
      if (reader_ && reader_->next(trace)) return true;
      if (shard_ == directory_.manifest().shards.size()) return false;
      reader_.emplace(directory_.open_shard(shard_++));
    }
  }

 private:
  const trace::TraceDirectory& directory_;
  size_t shard_ = 0;
  std::optional<trace::ShardReader> reader_;
};

std::string shape(const trace::Geometry& geometry) {
  return fmt::format("{} MoE layers with {} of {} experts", geometry.num_moe_layers, geometry.top_k,
                     geometry.num_experts);
}

void require_same_text(const trace::Trace& a, const trace::Trace& b, const std::string& where,
                       int64_t index) {
  constexpr const char* kHint =
      "compare traces of the same texts: collect with the same data, --traces, --seed and "
      "--max-length";
  if (a.dataset != b.dataset || a.sample != b.sample) {
    throw DataError(fmt::format("{}: trace {} is {} row {}, expected {} row {}; {}", where, index,
                                b.dataset, b.sample, a.dataset, a.sample, kHint));
  }
  if (a.token_ids != b.token_ids) {
    throw DataError(fmt::format("{}: trace {} ({} row {}) has other tokens ({} against {}); {}",
                                where, index, a.dataset, a.sample, b.num_tokens(), a.num_tokens(),
                                kHint));
  }
}

}  // namespace

TraceAgreement::TraceAgreement(const trace::Geometry& geometry)
    : num_layers_(geometry.num_moe_layers),
      num_experts_(geometry.num_experts),
      top_k_(geometry.top_k),
      common_(static_cast<size_t>(num_layers_)),
      squares_(common_.size()),
      products_(common_.size()),
      exact_(common_.size()),
      same_first_(common_.size()),
      at_common_(kBins),
      at_tokens_(kBins),
      usage_a_(geometry),
      usage_b_(geometry) {}

void TraceAgreement::add(const trace::Trace& a, const trace::Trace& b) {
  const int64_t tokens = a.num_tokens();
  std::vector<int64_t> common(common_.size());
  const uint16_t* left = a.experts.data();
  const uint16_t* right = b.experts.data();
  for (int token = 0; token < tokens; ++token) {
    ++at_tokens_[bin_of(token)];
    for (size_t layer = 0; layer < common.size(); ++layer, left += top_k_, right += top_k_) {
      const int same = common_of(left, right, top_k_);
      common[layer] += same;
      exact_[layer] += same == top_k_ ? 1 : 0;
      same_first_[layer] += left[0] == right[0] ? 1 : 0;
      at_common_[bin_of(token)] += same;
    }
  }
  for (size_t layer = 0; layer < common.size(); ++layer) {
    common_[layer] += common[layer];
    squares_[layer] += common[layer] * common[layer];
    products_[layer] += common[layer] * tokens;
  }
  ++texts_;
  tokens_ += tokens;
  token_squares_ += tokens * tokens;
  usage_a_.add(a);
  usage_b_.add(b);
}

Interval TraceAgreement::common(int layer) const {
  if (tokens_ == 0) return {kNan, kNan, kNan};
  const auto at = static_cast<size_t>(layer);
  const auto tokens = static_cast<double>(tokens_);
  const double mean = static_cast<double>(common_[at]) / tokens;  // experts a token
  const double residuals = static_cast<double>(squares_[at]) -
                           2 * mean * static_cast<double>(products_[at]) +
                           mean * mean * static_cast<double>(token_squares_);
  const auto texts = static_cast<double>(texts_);
  const double error =
      texts_ < 2 ? 0 : std::sqrt(texts / (texts - 1) * std::max(0.0, residuals)) / tokens;
  const double k = top_k_;
  return {mean / k, std::max(0.0, (mean - 1.96 * error) / k),
          std::min(1.0, (mean + 1.96 * error) / k)};
}

double TraceAgreement::exact(int layer) const {
  return tokens_ == 0 ? kNan
                      : static_cast<double>(exact_[static_cast<size_t>(layer)]) /
                            static_cast<double>(tokens_);
}

double TraceAgreement::same_first(int layer) const {
  return tokens_ == 0 ? kNan
                      : static_cast<double>(same_first_[static_cast<size_t>(layer)]) /
                            static_cast<double>(tokens_);
}

double TraceAgreement::divergence(int layer) const {
  return jensen_shannon(usage_a_.layer(layer), usage_b_.layer(layer));
}

std::vector<int> TraceAgreement::positions() const {
  std::vector<int> first;
  for (size_t bin = 0; bin < kBins && at_tokens_[bin] > 0; ++bin)
    first.push_back(bin == 0 ? 0 : 1 << (bin - 1));
  return first;
}

double TraceAgreement::common_at(size_t bin) const {
  const double decisions = static_cast<double>(at_tokens_[bin]) * num_layers_;
  return decisions == 0 ? kNan : static_cast<double>(at_common_[bin]) / (decisions * top_k_);
}

TraceAgreement compute_agreement(const trace::TraceDirectory& a, const trace::TraceDirectory& b,
                                 const std::function<void(int64_t traces)>& on_progress) {
  const std::string where = b.path().string();
  const trace::Geometry& ours = a.geometry();
  const trace::Geometry& theirs = b.geometry();
  if (ours.num_moe_layers != theirs.num_moe_layers || ours.num_experts != theirs.num_experts ||
      ours.top_k != theirs.top_k) {
    throw DataError(
        fmt::format("{}: has {}, {} has {}; only traces of one geometry can be compared", where,
                    shape(theirs), a.path().string(), shape(ours)));
  }
  if (a.manifest().num_traces() != b.manifest().num_traces()) {
    throw DataError(fmt::format(
        "{}: has {} traces, {} has {}; compare traces of the same texts: collect with the same "
        "data, --traces, --seed and --max-length",
        where, b.manifest().num_traces(), a.path().string(), a.manifest().num_traces()));
  }
  TraceAgreement agreement(ours);
  TextStream left(a);
  TextStream right(b);
  trace::Trace one;
  trace::Trace other;
  while (left.next(one) && right.next(other)) {
    require_same_text(one, other, where, agreement.texts());
    agreement.add(one, other);
    if (on_progress) on_progress(agreement.texts());
  }
  return agreement;
}

}  // namespace foregate::stats
