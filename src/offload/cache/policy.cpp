#include "offload/cache/policy.h"

#include <fmt/format.h>

#include <array>

#include "base/error.h"
#include "base/number_text.h"

namespace foregate::offload {
namespace {

constexpr std::string_view kLayerSuffix = "-layer";
constexpr std::string_view kLrfuPrefix = "lrfu-";
constexpr double kLongestHalfLife = 1e6;

struct NamedPolicy {
  std::string_view name;
  Policy policy;
};

constexpr std::array kNamed = {
    NamedPolicy{"lru", {Policy::Kind::kLru, false, false, 0}},
    NamedPolicy{"lru-token", {Policy::Kind::kLruByToken, false, false, 0}},
    NamedPolicy{"lfu", {Policy::Kind::kLfu, false, false, 0}},
    NamedPolicy{"least-stale", {Policy::Kind::kLeastStale, false, false, 0}},
    NamedPolicy{"static", {Policy::Kind::kStatic, false, false, 0}},
    NamedPolicy{"belady", {Policy::Kind::kBelady, false, true, 0}},
    NamedPolicy{"belady-demand", {Policy::Kind::kBelady, false, false, 0}},
};

[[noreturn]] void fail(std::string_view name) {
  std::string known;
  for (const NamedPolicy& named : kNamed) known += fmt::format("{}, ", named.name);
  throw UsageError(
      fmt::format("there is no cache policy '{}'; expected one of {}lrfu-H with a half-life of H "
                  "tokens (lrfu-8), or one of these with -layer behind it",
                  name, known));
}

}  // namespace

Policy parse_policy(std::string_view name) {
  std::string_view kind = name;
  const bool by_layer = kind.ends_with(kLayerSuffix);
  if (by_layer) kind.remove_suffix(kLayerSuffix.size());
  for (const NamedPolicy& named : kNamed) {
    if (named.name != kind) continue;
    Policy policy = named.policy;
    policy.by_layer = by_layer;
    return policy;
  }
  if (!kind.starts_with(kLrfuPrefix)) fail(name);
  const std::optional<double> half_life = parse_decimal(kind.substr(kLrfuPrefix.size()));
  if (!half_life || *half_life <= 0 || *half_life > kLongestHalfLife) fail(name);
  return {Policy::Kind::kLrfu, by_layer, false, *half_life};
}

std::string policy_name(const Policy& policy) {
  const std::string_view suffix = policy.by_layer ? kLayerSuffix : std::string_view();
  if (policy.kind == Policy::Kind::kLrfu) {
    return fmt::format("{}{}{}", kLrfuPrefix, policy.half_life, suffix);
  }
  for (const NamedPolicy& named : kNamed) {
    if (named.policy.kind == policy.kind && named.policy.bypass == policy.bypass)
      return fmt::format("{}{}", named.name, suffix);
  }
  throw std::logic_error("a cache policy without a name");
}

std::vector<Policy> default_policies() {
  std::vector<Policy> policies;
  for (const char* name : {"lru", "lru-layer", "lru-token", "lfu", "lrfu-8", "lrfu-32",
                           "lrfu-32-layer", "least-stale", "static", "belady"}) {
    policies.push_back(parse_policy(name));
  }
  return policies;
}

}  // namespace foregate::offload
