#include "collect/memory_plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/error.h"
#include "base/host_memory.h"
#include "base/number_text.h"
#include "engine/memory_needs.h"
#include "tensor/device/device_memory.h"
#include "tensor/dtype.h"

namespace foregate::collect {
namespace {

constexpr int64_t kCpuBatchTokens = 4096;
// Larger products run nearer to a GPU's peak.
constexpr int64_t kGpuBatchTokens = 32768;
constexpr int64_t kLargeGpuBatchTokens = 65536;
constexpr int64_t kLargeGpuBytes = int64_t{40} << 30;
constexpr int64_t kBatchStep = 256;
// Whose computing hides the transfer of a layer's experts, more or less.
constexpr int64_t kStreamedBatchTokens = 16384;

// What is left to libraries' workspaces, fragments and other processes.
constexpr double kUsableShare = 0.9;

std::string bytes(int64_t count) {
  return human_bytes(static_cast<uint64_t>(count));
}

// Enough to keep the device busy.
int64_t largest_batch(torch::Device device) {
  if (device.is_cpu()) return kCpuBatchTokens;
  return tensor::device_memory(device).total >= kLargeGpuBytes ? kLargeGpuBatchTokens
                                                               : kGpuBatchTokens;
}

class Chooser {
 public:
  Chooser(const models::ModelConfig& config, const MemoryPlanRequest& request)
      : config_(config), request_(request) {}

  engine::MemoryNeeds needs(tensor::Quantization quantization) const {
    return engine::memory_needs(config_, quantization, request_.compute.dtype,
                                request_.compute.device);
  }

  // With the smallest batch there is, one text: larger ones are halved where they turn out too
  // large.
  int64_t least_bytes(tensor::Quantization quantization) const {
    return needs(quantization).with_batch(request_.longest_text);
  }
  bool fits(tensor::Quantization quantization) const {
    return least_bytes(quantization) <= request_.memory;
  }

  std::optional<tensor::Quantization> quantization() const {
    if (request_.compute.quantization) {
      return fits(*request_.compute.quantization) ? request_.compute.quantization : std::nullopt;
    }
    if (config_.storage.kind == models::CheckpointFormat::Kind::kForegate) {
      const tensor::Quantization kept = config_.storage.quantization;
      return fits(kept) ? std::optional(kept) : std::nullopt;
    }
    for (const tensor::Quantization kind : tensor::all_quantizations()) {
      if (fits(kind)) return kind;
    }
    return std::nullopt;
  }

  // As few layers to stream as make room for a large batch; if none do, as many as there are, so
  // that transfers are shared by as many tokens as fit.
  std::optional<int64_t> offloaded_layers(tensor::Quantization quantization,
                                          int64_t host_memory) const {
    if (!request_.compute.device.is_cuda()) return std::nullopt;
    const engine::MemoryNeeds needs = this->needs(quantization);
    const int64_t least = std::max(request_.batch_tokens, request_.longest_text);
    const int64_t most = std::min(needs.expert_layers, host_memory / needs.layer_experts);
    const auto fits = [&](int64_t layers, int64_t batch) {
      return needs.streamed(layers).with_batch(batch) <= request_.memory;
    };
    // Fewer than three would save nothing.
    for (int64_t layers = 3; layers <= most; ++layers) {
      if (fits(layers, std::max(least, kStreamedBatchTokens))) return layers;
    }
    return most >= 3 && fits(most, least) ? std::optional(most) : std::nullopt;
  }

  // The smallest form of what may be chosen: it takes the least time to transfer.
  tensor::Quantization smallest() const {
    if (request_.compute.quantization) return *request_.compute.quantization;
    const bool kept = config_.storage.kind == models::CheckpointFormat::Kind::kForegate;
    return kept ? config_.storage.quantization : tensor::all_quantizations().back();
  }

  int64_t batch_tokens(const engine::MemoryNeeds& needs) const {
    if (request_.batch_tokens > 0) return request_.batch_tokens;
    const int64_t room = request_.memory - needs.weights - needs.scratch;
    const int64_t tokens = std::min(room / needs.per_token, largest_batch(request_.compute.device));
    return std::max(tokens / kBatchStep * kBatchStep, request_.longest_text);
  }

  EnvironmentError nothing_fits(const std::string& model) const {
    std::string sizes;
    std::string remedy;
    for (const tensor::Quantization kind : tensor::all_quantizations()) {
      const int64_t least = least_bytes(kind);
      sizes += fmt::format("{}{} {}", sizes.empty() ? "" : ", ",
                           kind == tensor::Quantization::kNone
                               ? tensor::dtype_name(request_.compute.dtype)
                               : tensor::quantization_name(kind),
                           bytes(least));
      if (remedy.empty() && least <= request_.memory) {
        remedy = fmt::format("--quantize {} fits", tensor::quantization_name(kind));
      }
    }
    if (remedy.empty()) {
      const tensor::Quantization fewest = tensor::all_quantizations().back();
      const engine::MemoryNeeds needs = this->needs(fewest);
      const int64_t least =
          request_.compute.device.is_cuda()
              ? needs.streamed(needs.expert_layers).with_batch(request_.longest_text)
              : least_bytes(fewest);
      remedy = fmt::format("use a device with at least {}, or a smaller model", bytes(least));
    }
    if (const auto layers = offloaded_layers(smallest(), INT64_MAX)) {
      remedy += fmt::format(
          ", and with {} of the host's memory free, where there are {}, experts would be streamed "
          "from there",
          bytes(*layers * needs(smallest()).layer_experts), bytes(request_.host_memory));
    }
    return EnvironmentError(fmt::format(
        "{} does not fit into the {} of memory that may be used on {}: with batches of {} tokens "
        "it takes {}; {}",
        model, bytes(request_.memory), request_.compute.device.str(),
        with_commas(request_.longest_text), sizes, remedy));
  }

 private:
  const models::ModelConfig& config_;
  const MemoryPlanRequest& request_;
};

}  // namespace

MemoryPlan choose_memory_plan(const models::ModelConfig& config, const MemoryPlanRequest& request,
                              const std::string& model) {
  const Chooser chooser(config, request);
  std::optional<tensor::Quantization> quantization = chooser.quantization();
  int64_t streamed = 0;
  if (!quantization) {
    quantization = chooser.smallest();
    const std::optional<int64_t> layers =
        chooser.offloaded_layers(*quantization, request.host_memory);
    if (!layers) throw chooser.nothing_fits(model);
    streamed = *layers;
  }
  const engine::MemoryNeeds needs = chooser.needs(*quantization).streamed(streamed);
  const int64_t tokens = chooser.batch_tokens(needs);
  return {.quantization = *quantization,
          .batch_tokens = tokens,
          .offloaded_layers = streamed,
          .host_bytes = streamed * needs.layer_experts,
          .weight_bytes = needs.weights,
          .batch_bytes = needs.scratch + tokens * needs.per_token};
}

std::string description(const MemoryPlan& plan, int64_t memory, torch::Device device) {
  const std::string streamed =
      plan.offloaded_layers == 0
          ? ""
          : fmt::format(" and, for the experts of {} layers, {} of the host's memory",
                        plan.offloaded_layers, bytes(plan.host_bytes));
  return fmt::format(
      "quantisation {}, weights {}{}; batches of {} tokens, {}; {} of memory may be "
      "used on {}",
      tensor::quantization_name(plan.quantization), bytes(plan.weight_bytes), streamed,
      with_commas(plan.batch_tokens), bytes(plan.batch_bytes), bytes(memory), device.str());
}

int64_t usable_memory(torch::Device device, int64_t limit) {
  if (limit > 0) return limit;
  const int64_t free =
      device.is_cpu() ? available_host_memory() : tensor::device_memory(device).free;
  // Where nothing tells, nothing limits.
  if (free == 0) return INT64_MAX;
  return static_cast<int64_t>(kUsableShare * static_cast<double>(free));
}

}  // namespace foregate::collect
