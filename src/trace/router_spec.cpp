#include "trace/router_spec.h"

#include <fmt/format.h>

#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "trace/geometry.h"

namespace foregate::trace {
namespace {

template <typename Value>
struct SpecName {
  Value value;
  const char* name;
};
template <typename Value>  // clang 14 does not deduce an aggregate's parameters by itself
SpecName(Value, const char*)->SpecName<Value>;

constexpr std::array kScoreNames = {
    SpecName{RouterSpec::Score::kSoftmax, "softmax"},
    SpecName{RouterSpec::Score::kSigmoid, "sigmoid"},
    SpecName{RouterSpec::Score::kSoftmaxOfChosen, "softmax-of-chosen"},
    SpecName{RouterSpec::Score::kSparsemixer, "sparsemixer"}};
constexpr std::array kGroupScoreNames = {
    SpecName{RouterSpec::GroupScore::kMax, "max"},
    SpecName{RouterSpec::GroupScore::kSumOfTopTwo, "sum-of-top-two"}};

template <typename Value, size_t kCount>
const char* name_of(Value value, const std::array<SpecName<Value>, kCount>& names) {
  for (const SpecName<Value>& known : names) {
    if (known.value == value) return known.name;
  }
  throw std::logic_error("a router's setting without a name");
}

template <typename Value, size_t kCount>
Value read_name(const JsonReader& reader, const char* key,
                const std::array<SpecName<Value>, kCount>& names) {
  const std::string found = reader.string(key);
  std::string expected;
  for (const SpecName<Value>& known : names) {
    if (found == known.name) return known.value;
    expected += (expected.empty() ? "" : ", ") + std::string(known.name);
  }
  reader.fail(key, "one of " + expected);
}

}  // namespace

Json router_spec_to_json(const RouterSpec& spec) {
  Json json;
  json["score"] = name_of(spec.score, kScoreNames);
  json["norm_topk"] = spec.norm_topk;
  json["epsilon"] = spec.epsilon;
  if (spec.min_sum != 0) json["min_sum"] = spec.min_sum;
  if (spec.jitter != 0) json["jitter"] = spec.jitter;
  json["scale"] = spec.scale;
  json["groups"] = spec.groups;
  json["top_groups"] = spec.top_groups;
  json["group_score"] = name_of(spec.group_score, kGroupScoreNames);
  return json;
}

RouterSpec router_spec_from_json(const JsonReader& reader) {
  constexpr double kLargestScale = 1e6;
  RouterSpec spec;
  spec.score = read_name(reader, "score", kScoreNames);
  spec.norm_topk = reader.boolean("norm_topk");
  spec.epsilon = reader.number("epsilon", 0, 1);
  spec.min_sum = reader.number("min_sum", 0, 1, 0);
  spec.jitter = reader.number("jitter", 0, 1, 0);
  spec.scale = reader.number("scale", 0, kLargestScale);
  spec.groups = reader.integer("groups", 1, kMaxExperts);
  spec.top_groups = reader.integer("top_groups", 1, spec.groups);
  spec.group_score = read_name(reader, "group_score", kGroupScoreNames);
  return spec;
}

void check_router_spec(const RouterSpec& spec, int64_t num_experts, int64_t top_k,
                       const std::string& where) {
  const auto require = [&](bool holds, const std::string& what) {
    if (!holds) throw DataError(fmt::format("{}: {}", where, what));
  };
  require(spec.groups >= 1 && num_experts % spec.groups == 0,
          fmt::format("'groups' is {}; expected a divisor of the number of experts, {}",
                      spec.groups, num_experts));
  require(spec.top_groups >= 1 && spec.top_groups <= spec.groups,
          fmt::format("'top_groups' is {}; expected 1 to {}, the groups there are", spec.top_groups,
                      spec.groups));
  require(spec.score != RouterSpec::Score::kSparsemixer || (top_k == 2 && num_experts > 1),
          fmt::format("{} of {} experts are to be chosen; expected 2 by a sparsemixer", top_k,
                      num_experts));
  const int64_t size = num_experts / spec.groups;
  require(top_k <= spec.top_groups * size,
          fmt::format("{} experts are to be chosen; expected at most {}, those of {} groups of {}",
                      top_k, spec.top_groups * size, spec.top_groups, size));
  require(spec.groups == 1 || spec.group_score == RouterSpec::GroupScore::kMax || size >= 2,
          "'group_score' is the sum of the two best; expected groups of at least two experts");
}

}  // namespace foregate::trace
