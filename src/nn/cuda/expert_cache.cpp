#include "nn/cuda/expert_cache.h"

#include <c10/cuda/CUDAStream.h>
#include <torch/types.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "kernels/cache/cache.h"
#include "kernels/routing/routing.h"
#include "nn/cuda/launch.h"

namespace foregate::nn {
namespace {

/// Blocks that copy what a layer misses: enough for the link (see docs/performance.md).
constexpr int kCopyBlocks = 32;
/// Blocks that copy what is foreseen beside the layers' kernels.
constexpr int kMoverBlocks = 12;
constexpr int64_t kPieceBytes = 64 << 10;

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wswitch"  // a policy without its kernel does not compile
kernels::SlotPolicy policy_of(CachePolicy policy) {
  switch (policy) {
    case CachePolicy::kLru:
      return kernels::SlotPolicy::kLru;
    case CachePolicy::kLruByToken:
      return kernels::SlotPolicy::kLruByToken;
    case CachePolicy::kLrfu:
      return kernels::SlotPolicy::kLrfu;
    case CachePolicy::kLeastStale:
      return kernels::SlotPolicy::kLeastStale;
    case CachePolicy::kStatic:
      return kernels::SlotPolicy::kStatic;
  }
  __builtin_unreachable();
}
#pragma GCC diagnostic pop

kernels::CacheShape shape_of(const ExpertCacheShape& shape) {
  return {.layers = shape.num_layers,
          .experts = shape.num_experts,
          .slots = shape.num_slots,
          .staging = shape.passing_slots,
          .policy = policy_of(shape.policy),
          .by_layer = shape.by_layer,
          .half_life = shape.half_life};
}

template <typename T>
torch::Tensor bytes_on(const std::vector<T>& values, torch::Device device) {
  const auto size = static_cast<int64_t>(values.size() * sizeof(T));
  const torch::Tensor bytes = torch::empty({size}, torch::kUInt8);
  if (size > 0) std::memcpy(bytes.mutable_data_ptr(), values.data(), static_cast<size_t>(size));
  return bytes.to(device);
}

struct DestroyEvent {
  void operator()(CUevent_st* event) const { C10_CUDA_CHECK_WARN(cudaEventDestroy(event)); }
};
using Event = std::unique_ptr<CUevent_st, DestroyEvent>;

Event new_event() {
  cudaEvent_t event = nullptr;
  C10_CUDA_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
  return Event(event);
}

}  // namespace

struct DeviceExpertCache::Impl {
  Impl(const ExpertCacheShape& public_shape, std::vector<ExpertPart> expert_parts,
       const ForeseeRules& foresee, torch::Device where)
      : shape(shape_of(public_shape)), device(where), memory(std::move(expert_parts)) {
    TORCH_CHECK(kernels::can_run_cache(shape), "an expert cache of ", shape.slots, " slots for ",
                shape.layers, " x ", shape.experts, " experts");
    const auto bytes = kernels::cache_table_bytes(shape);
    image = torch::empty({bytes + 64}, torch::dtype(torch::kUInt8).pinned_memory(true));
    table = torch::empty({bytes}, torch::dtype(torch::kUInt8).device(device));
    host = kernels::lay_out_cache(
        shape, reinterpret_cast<void*>(
                   (reinterpret_cast<uintptr_t>(image.mutable_data_ptr()) + 63) / 64 * 64));
    tables = kernels::lay_out_cache(shape, table.mutable_data_ptr());
    kernels::clear_cache(host);
    upload();
    lay_out_parts();
    set_rules(foresee);
    const c10::cuda::CUDAGuard guard(device);
    begun = new_event();
    moved = new_event();
  }

  void lay_out_parts() {
    TORCH_CHECK(memory.size() <= kernels::kMostExpertParts, "experts of ", memory.size(), " parts");
    parts.count = static_cast<int32_t>(memory.size());
    parts.piece_bytes = kPieceBytes;
    std::vector<const void*> hosts;
    for (int layer = 0; layer < shape.layers; ++layer) {
      for (const ExpertPart& part : memory) {
        hosts.push_back(part.hosts[static_cast<size_t>(layer)].const_data_ptr());
      }
    }
    host_pointers = bytes_on(hosts, device);
    parts.hosts = static_cast<const void* const*>(host_pointers.const_data_ptr());
    for (size_t i = 0; i < memory.size(); ++i) {
      const ExpertPart& part = memory[i];
      const torch::Tensor& first = part.hosts.front();
      TORCH_CHECK(part.slots.is_contiguous() && part.slots.size(1) == first.size(1) &&
                      part.slots.size(0) == shape.slots + shape.staging && first.size(1) % 4 == 0,
                  "an expert's part of ", first.sizes(), " for slots of ", part.slots.sizes());
      parts.bytes[i] = first.size(1);
      parts.host_strides[i] = first.stride(0);
      parts.slots[i] = part.slots.mutable_data_ptr();
    }
  }

  void set_rules(const ForeseeRules& foresee) {
    depths = static_cast<int>(foresee.depths.size());
    TORCH_CHECK(depths <= kernels::kMostDepths && shape.experts <= kernels::kMostForeseen &&
                    foresee.victim_worth.size() <= kernels::kVictimAges,
                "cannot foresee ", depths, " layers of ", shape.experts, " experts");
    std::vector<kernels::DepthRule> all;
    for (const ForeseeRule& rule : foresee.depths) {
      all.push_back({rule.scale, rule.shared, rule.offset, rule.threshold});
    }
    rules = bytes_on(all, device);
    if (depths > 0) routers = foresee.routers.contiguous();
    TORCH_CHECK(depths == 0 || (routers.dim() == 3 && routers.size(0) == shape.layers &&
                                routers.size(1) == shape.experts),
                "routers of ", routers.sizes(), " foresee ", shape.layers, " x ", shape.experts,
                " experts");
    std::vector<float> worth = foresee.victim_worth;
    worth.resize(kernels::kVictimAges, worth.back());
    victim_worth = bytes_on(worth, device);
  }

  /// Depths that are foreseen at a layer.
  int depths_at(int layer) const { return std::min(depths, shape.layers - 1 - layer); }

  void upload() {
    const torch::Tensor from = torch::from_blob(host.control, {table.size(0)}, torch::kUInt8);
    table.copy_(from);
  }
  void download() const {
    torch::Tensor to = torch::from_blob(host.control, {table.size(0)}, torch::kUInt8);
    to.copy_(table);
  }

  kernels::CacheShape shape;
  torch::Device device;
  std::vector<ExpertPart> memory;
  torch::Tensor image;  // of the books, on the host
  torch::Tensor table;  // the books
  kernels::CacheTables host;
  kernels::CacheTables tables;
  kernels::ExpertParts parts;
  torch::Tensor host_pointers;
  int depths = 0;
  torch::Tensor rules;
  torch::Tensor victim_worth;
  torch::Tensor routers;  // [L, E, H]
  torch::Tensor scores;   // [T, depths * E], of the running layer
  std::optional<c10::cuda::CUDAStream> side;
  Event begun;
  Event moved;
};

DeviceExpertCache::DeviceExpertCache(const ExpertCacheShape& shape, std::vector<ExpertPart> parts,
                                     const ForeseeRules& rules, torch::Device device)
    : impl_(std::make_unique<Impl>(shape, std::move(parts), rules, device)) {}

DeviceExpertCache::~DeviceExpertCache() = default;

int64_t DeviceExpertCache::most_tokens(int64_t top_k) const {
  const kernels::CacheShape& shape = impl_->shape;
  const int64_t room = shape.by_layer ? shape.slots / shape.layers : shape.slots;
  // So many of them can always be given away.
  const int64_t sure = shape.policy == kernels::SlotPolicy::kStatic ? 0
                       : impl_->depths == 0                         ? room
                                                                    : room - shape.transfers;
  const int64_t experts = std::max(sure, std::min<int64_t>(room, shape.staging));
  return std::min<int64_t>(experts, kernels::kMostCachePairs) / top_k;
}

torch::Tensor DeviceExpertCache::matrices(int layer) const {
  const int64_t experts = impl_->shape.experts;
  return torch::from_blob(impl_->tables.slot_of + layer * experts, {experts},
                          torch::dtype(torch::kInt32).device(impl_->device));
}

void DeviceExpertCache::begin_step() {
  const c10::cuda::CUDAGuard guard(impl_->device);
  const c10::cuda::CUDAStream stream = c10::cuda::getCurrentCUDAStream();
  C10_CUDA_CHECK(kernels::cache_begin_step(impl_->tables, stream.stream()));
  if (impl_->depths == 0) return;
  if (!impl_->side) impl_->side = c10::cuda::getStreamFromPool(false, impl_->device.index());
  C10_CUDA_CHECK(cudaEventRecord(impl_->begun.get(), stream.stream()));
  C10_CUDA_CHECK(cudaStreamWaitEvent(impl_->side->stream(), impl_->begun.get()));
  C10_CUDA_CHECK(
      kernels::cache_run_mover(impl_->tables, impl_->parts, kMoverBlocks, impl_->side->stream()));
  C10_CUDA_CHECK(cudaEventRecord(impl_->moved.get(), impl_->side->stream()));
}

void DeviceExpertCache::see(int layer, const torch::Tensor& x) {
  const int depths = impl_->depths_at(layer);
  if (depths == 0) return;
  TORCH_CHECK(x.is_contiguous(), "an expert cache that foresees from rows which lie apart");
  const torch::Tensor routers = impl_->routers.narrow(0, layer + 1, depths);
  const int64_t scores = depths * routers.size(1);
  impl_->scores = torch::empty({x.size(0), scores}, routers.options());
  on_stream_of(x, [&](cudaStream_t stream) {
    return kernels::router_logits(x.const_data_ptr(), routers.const_data_ptr<float>(),
                                  impl_->scores.mutable_data_ptr<float>(), x.size(0), scores,
                                  x.size(1), kernel_dtype(x), stream);
  });
}

void DeviceExpertCache::bring(int layer, const torch::Tensor& chosen) {
  TORCH_CHECK(chosen.is_contiguous() && chosen.size(0) <= most_tokens(chosen.size(1)),
              "an expert cache of ", impl_->shape.slots, " slots asked for ", chosen.sizes());
  const kernels::CacheEvent event{.layer = layer,
                                  .tokens = static_cast<int32_t>(chosen.size(0)),
                                  .top_k = static_cast<int32_t>(chosen.size(1)),
                                  .chosen = chosen.const_data_ptr<int64_t>()};
  on_stream_of(impl_->table, [&](cudaStream_t stream) {
    const cudaError_t error = kernels::cache_look_up(impl_->tables, event, impl_->parts, stream);
    if (error != cudaSuccess) return error;
    return kernels::cache_fetch(impl_->tables, impl_->parts, kCopyBlocks, stream);
  });
}

void DeviceExpertCache::foresee(int layer) {
  const int depths = impl_->depths_at(layer);
  if (depths == 0) return;
  const torch::Tensor& scores = impl_->scores;
  const kernels::Foreseen foreseen{
      .scores = scores.const_data_ptr<float>(),
      .token_stride = scores.size(1),
      .depths = depths,
      .tokens = static_cast<int32_t>(scores.size(0)),
      .rules = static_cast<const kernels::DepthRule*>(impl_->rules.const_data_ptr()),
      .victim_worth = static_cast<const float*>(impl_->victim_worth.const_data_ptr())};
  on_stream_of(impl_->table, [&](cudaStream_t stream) {
    return kernels::cache_foresee(impl_->tables, impl_->parts, layer, foreseen, stream);
  });
}

void DeviceExpertCache::end_step() {
  const c10::cuda::CUDAGuard guard(impl_->device);
  const c10::cuda::CUDAStream stream = c10::cuda::getCurrentCUDAStream();
  C10_CUDA_CHECK(kernels::cache_end_step(impl_->tables, stream.stream()));
  if (impl_->depths == 0) return;
  C10_CUDA_CHECK(cudaStreamWaitEvent(stream.stream(), impl_->moved.get()));
}

ExpertBooks DeviceExpertCache::books() const {
  impl_->download();
  const kernels::CacheTables& host = impl_->host;
  const kernels::CacheControl& control = *host.control;
  ExpertBooks books{.step = control.step,
                    .first_step = control.first_step,
                    .clock = control.clock,
                    .weight = control.weight,
                    .scaled_down = control.scaled_down,
                    .values = std::vector<double>(
                        host.values, host.values + host.shape.layers * host.shape.experts)};
  for (int slot = 0; slot < host.shape.slots; ++slot) {
    const kernels::CacheSlot& place = host.slots[slot];
    bool is_there = place.owner >= 0;
    if (place.transfer >= 0) {
      const kernels::Transfer& transfer = host.transfers[place.transfer];
      is_there = is_there && transfer.done == transfer.expected;
    }
    books.owners.push_back(is_there ? place.owner : -1);
  }
  return books;
}

void DeviceExpertCache::set_books(const ExpertBooks& books) {
  impl_->download();  // What is counted stays.
  const kernels::CacheTables& host = impl_->host;
  const std::vector<kernels::CacheCounts> counts(host.counts, host.counts + host.shape.layers);
  kernels::clear_cache(host);
  std::ranges::copy(counts, host.counts);
  std::ranges::copy(books.values, host.values);
  kernels::CacheControl& control = *host.control;
  control.step = books.step;
  control.first_step = books.first_step;
  control.clock = books.clock;
  control.weight = books.weight;
  control.scaled_down = books.scaled_down;
  for (int slot = 0; slot < host.shape.slots; ++slot) {
    const auto owner = static_cast<int32_t>(books.owners[static_cast<size_t>(slot)]);
    if (owner < 0) continue;
    host.slots[slot].owner = owner;
    host.slots[slot].value = host.values[owner];
    host.slots[slot].used_step = static_cast<int32_t>(books.step);
    host.slot_of[owner] = slot;
    ++host.used[host.shape.by_layer ? owner / host.shape.experts : 0];
  }
  impl_->upload();
}

std::vector<ExpertCacheCount> DeviceExpertCache::counts() const {
  impl_->download();
  std::vector<ExpertCacheCount> counts;
  for (int layer = 0; layer < impl_->shape.layers; ++layer) {
    const kernels::CacheCounts& here = impl_->host.counts[layer];
    counts.push_back({here.hits, here.late, here.misses, here.passed, here.prefetched, here.useful,
                      here.wasted});
  }
  return counts;
}

}  // namespace foregate::nn
