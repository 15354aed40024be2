#include "trace/import/megatron_pass.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "trace/geometry.h"

namespace foregate::trace {

bool MegatronPass::read(const JsonReader& line) {
  experts_.clear();
  token_ = 0;
  if (line.string("block", "decoder") != "decoder") return false;
  rank_ = line.integer("rank", 0, INT32_MAX, 0);
  text_ = fmt::format("rank {} step {}", rank_, line.integer("step", 0, INT64_MAX));
  layer_ = line.integer("layer", 0, INT16_MAX);
  for (const Json& decision : line.array(kExperts)) {
    std::vector<uint16_t>& experts = experts_.emplace_back();
    if (!decision.is_array() || decision.empty())
      line.fail(kExperts, "a list of expert ids a token");
    for (const Json& id : decision) {
      const bool fits =
          id.is_number_integer() && id.get<int64_t>() >= 0 && id.get<int64_t>() < kMaxExperts;
      if (!fits) line.fail(kExperts, fmt::format("expert ids from 0 to {}", kMaxExperts - 1));
      experts.push_back(static_cast<uint16_t>(id.get<int64_t>()));
    }
  }
  const auto tokens = static_cast<int64_t>(experts_.size());
  if (line.integer("num_tokens", 0, INT32_MAX, tokens) != tokens) {
    line.fail("num_tokens", fmt::format("the {} tokens of '{}'", tokens, kExperts));
  }
  return true;
}

bool MegatronPass::next(RoutingRow& row) {
  if (token_ == experts_.size()) return false;
  row = {};
  row.text = text_;
  row.token = static_cast<int64_t>(token_);
  row.layer = layer_;
  row.experts = experts_[token_++];
  return true;
}

void MegatronRanks::add(const MegatronPass& pass, const std::string& where) {
  Rank& rank = ranks_[pass.rank()];
  if (rank.layers.empty()) rank.where = where;
  rank.layers.insert(pass.layer());
}

void MegatronRanks::require_whole_passes() const {
  if (ranks_.empty()) return;
  const auto& [first, of_first] = *ranks_.begin();
  for (const auto& [rank, of_rank] : ranks_) {
    std::vector<int64_t> both;
    std::ranges::set_intersection(of_first.layers, of_rank.layers, std::back_inserter(both));
    if (!both.empty()) continue;
    throw DataError(fmt::format(
        "{}: rank {} has layers {} to {}, and rank {} has {} to {}: they share the layers of a "
        "pass "
        "(pipeline parallelism), and the trace does not say which of their passes belong together; "
        "record with --pipeline-model-parallel-size 1, or import the file of one rank, which has "
        "its layers alone",
        of_rank.where, rank, *of_rank.layers.begin(), *of_rank.layers.rbegin(), first,
        *of_first.layers.begin(), *of_first.layers.rbegin()));
  }
}

}  // namespace foregate::trace
