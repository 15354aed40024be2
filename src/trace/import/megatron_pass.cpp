#include "trace/import/megatron_pass.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "trace/geometry.h"

namespace foregate::trace {

bool MegatronPass::read(const JsonReader& line) {
  experts_.clear();
  token_ = 0;
  if (line.string("block", "decoder") != "decoder") return false;
  text_ = fmt::format("rank {} step {}", line.integer("rank", 0, INT32_MAX, 0),
                      line.integer("step", 0, INT64_MAX));
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

}  // namespace foregate::trace
