#include "engine/experts/device_experts.h"

#include <fmt/core.h>
#include <torch/types.h>

#include <algorithm>
#include <optional>

#include "base/error.h"

namespace foregate::engine {
namespace {

using offload::Policy;

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wswitch"  // a policy that is not here does not compile
std::optional<nn::CachePolicy> find_policy(const Policy& policy) {
  switch (policy.kind) {
    case Policy::Kind::kLru:
      return nn::CachePolicy::kLru;
    case Policy::Kind::kLruByToken:
      return nn::CachePolicy::kLruByToken;
    case Policy::Kind::kLrfu:
      return nn::CachePolicy::kLrfu;
    case Policy::Kind::kLeastStale:
      return nn::CachePolicy::kLeastStale;
    case Policy::Kind::kStatic:
      return nn::CachePolicy::kStatic;
    case Policy::Kind::kLfu:
    case Policy::Kind::kBelady:
      return std::nullopt;
  }
  __builtin_unreachable();
}
#pragma GCC diagnostic pop

nn::CachePolicy policy_of(const Policy& policy) {
  if (const std::optional<nn::CachePolicy> found = find_policy(policy)) return *found;
  throw UsageError(
      fmt::format("the GPU does not decide by the policy {}; choose another, e.g. lrfu-8",
                  offload::policy_name(policy)));
}

ExpertCacheOptions without_prefetch(ExpertCacheOptions options, torch::Device device) {
  if (!device.is_cuda()) {
    throw UsageError("an expert cache that the device keeps needs a GPU");
  }
  policy_of(options.policy);
  options.prefetch.reset();
  options.foresight = nullptr;
  options.on_trial = false;
  return options;
}

nn::ExpertCacheShape cache_shape(const trace::Geometry& geometry, const ExpertCounts& counts,
                                 const Policy& policy) {
  return {.num_layers = geometry.num_moe_layers,
          .num_experts = geometry.num_experts,
          .num_slots = static_cast<int>(counts.slots),
          .passing_slots = static_cast<int>(counts.passing_slots),
          .policy = policy_of(policy),
          .by_layer = policy.by_layer,
          .half_life = policy.half_life};
}

std::vector<nn::ExpertPart> parts_of(const ExpertSlots& slots) {
  std::vector<nn::ExpertPart> parts;
  for (const torch::Tensor& bytes : slots.slot_bytes()) {
    nn::ExpertPart part{.slots = bytes, .hosts = {}};
    for (const std::vector<torch::Tensor>& layer : slots.host_bytes()) {
      part.hosts.push_back(layer[parts.size()]);
    }
    parts.push_back(std::move(part));
  }
  return parts;
}

/// With the layers' routers, one behind the other, so that several layers' logits are one product.
nn::ForeseeRules with_routers(nn::ForeseeRules rules,
                              const std::vector<models::LayerWeights>& layers) {
  if (rules.depths.empty()) return rules;
  std::vector<torch::Tensor> routers;
  for (const models::LayerWeights& layer : layers) {
    const models::MoeWeights* moe = layer.moe();
    if (moe == nullptr) continue;
    if (moe->router_biases.logit.defined() || moe->router_biases.choice.defined()) {
      throw UsageError("routers that add biases do not foresee on the GPU; prefetch nothing");
    }
    routers.push_back(moe->router);
  }
  rules.routers = torch::stack(routers);
  return rules;
}

}  // namespace

bool DeviceExperts::can_keep(const Policy& policy, torch::Device device) {
  return device.is_cuda() && find_policy(policy).has_value();
}

DeviceExperts::DeviceExperts(const std::vector<models::LayerWeights>& layers,
                             const trace::Geometry& geometry, torch::Device device,
                             const ExpertCacheOptions& options)
    : geometry_(geometry),
      host_(layers, geometry, device, without_prefetch(options, device)),
      cache_(cache_shape(geometry, *host_.counts(), options.policy), parts_of(host_.slots()),
             with_routers(options.next_gate, layers), device) {}

bool DeviceExperts::runs_on_device(int64_t tokens) const {
  return tokens <= cache_.most_tokens(geometry_.top_k);
}

void DeviceExperts::tell_device() {
  const CachedExperts::Books books = host_.books();
  const offload::ExpertCache::Memory& memory = books.memory;
  cache_.set_books({.step = memory.step,
                    .first_step = memory.step < 0 ? -1 : memory.first_step,
                    .clock = memory.clock,
                    .weight = memory.weight,
                    .scaled_down = memory.scaled_down,
                    .values = memory.values,
                    .owners = books.owners});
  device_knows_ = true;
}

void DeviceExperts::tell_host() {
  const nn::ExpertBooks books = cache_.books();
  CachedExperts::Books told{.memory = {.step = books.step,
                                       .first_step = std::max<int64_t>(0, books.first_step),
                                       .clock = books.clock,
                                       .weight = books.weight,
                                       .scaled_down = books.scaled_down,
                                       .values = books.values,
                                       .last_uses = {},
                                       .resident = std::vector<uint8_t>(books.values.size())},
                            .owners = books.owners};
  for (const int64_t owner : books.owners) {
    if (owner >= 0) told.memory.resident[static_cast<size_t>(owner)] = 1;
  }
  host_.set_books(told);
  device_knows_ = false;
}

void DeviceExperts::begin_step(const StepBatch& batch, std::span<const int64_t> past) {
  // A step that ended in an error has left the device waiting for its end.
  if (in_step_ && device_decides_) cache_.end_step();
  in_step_ = true;
  device_decides_ = batch.num_tokens() == batch.num_texts() && runs_on_device(batch.num_tokens());
  if (device_decides_) {
    if (!device_knows_) tell_device();
    return;
  }
  if (device_knows_) tell_host();
  host_.begin_step(batch, past);
}

void DeviceExperts::begin_layer(int moe_layer) {
  if (!device_decides_) {
    host_.begin_layer(moe_layer);
  } else if (moe_layer == 0) {
    cache_.begin_step();
  }
}

void DeviceExperts::see_router_input(int moe_layer, const torch::Tensor& input) {
  if (device_decides_) cache_.see(moe_layer, input);
}

void DeviceExperts::use(const ExpertRequest& request, const Work& work) {
  if (!device_decides_) {
    host_.use(request, work);
    return;
  }
  const int layer = request.moe_layer;
  cache_.bring(layer, request.routing.experts.contiguous());
  work({.experts = host_.slots().weights(layer, cache_.matrices(layer)),
        .num_tokens = request.routing.experts.size(0)});
  cache_.foresee(layer);
  if (layer + 1 == geometry_.num_moe_layers) cache_.end_step();
}

void DeviceExperts::end_step() {
  if (!device_decides_) host_.end_step();
  in_step_ = false;
}

std::optional<ExpertCounts> DeviceExperts::counts() const {
  ExpertCounts counts = *host_.counts();
  const std::vector<nn::ExpertCacheCount> on_device = cache_.counts();
  for (size_t layer = 0; layer < on_device.size(); ++layer) {
    const nn::ExpertCacheCount& here = on_device[layer];
    offload::FoundCount& found = counts.generated[layer];
    found.hits += here.hits;
    found.late += here.late;
    found.misses += here.misses;
    counts.demand_bytes += here.misses * counts.expert_bytes;
    counts.prefetch_bytes += here.prefetched * counts.expert_bytes;
    counts.prefetch.useful_bytes += static_cast<double>(here.useful * counts.expert_bytes);
    counts.prefetch.wasted_bytes += static_cast<double>(here.wasted * counts.expert_bytes);
  }
  return counts;
}

}  // namespace foregate::engine
