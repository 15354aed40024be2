#pragma once

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace foregate::nn {

/// Which expert leaves a full cache: those of offload::Policy that the device decides by itself.
enum class CachePolicy : uint8_t { kLru, kLruByToken, kLrfu, kLeastStale, kStatic };

struct ExpertCacheShape {
  int num_layers = 0;
  int num_experts = 0;
  int num_slots = 0;      ///< S
  int passing_slots = 0;  ///< behind those, for what is used once and not kept
  CachePolicy policy = CachePolicy::kLruByToken;
  bool by_layer = false;
  double half_life = 0;  ///< of kLrfu, in steps
};

/// One of the parts that an expert consists of, such as the codes of a matrix, as bytes.
struct ExpertPart {
  torch::Tensor slots;               ///< [S + passing, n] uint8, on the device
  std::vector<torch::Tensor> hosts;  ///< [L] of [E, n] uint8, in pinned memory; rows may lie apart
};

/// What an expert cache remembers, as the host tells the device and the device the host.
struct ExpertBooks {
  int64_t step = -1;  ///< that ran last
  int64_t first_step = -1;
  double clock = 0;               ///< uses or loads so far
  double weight = 1;              ///< of a use now, of LRFU
  double scaled_down = 0;         ///< exponents by which all values were
  std::vector<double> values{};   ///< [L][E] of all experts, there or not
  std::vector<int64_t> owners{};  ///< [S]: layer * E + expert, or -1
};

/// Of one layer, since the cache was made.
struct ExpertCacheCount {
  int64_t hits = 0;
  int64_t late = 0;  ///< were on their way
  int64_t misses = 0;
  int64_t passed = 0;      ///< misses that got no slot
  int64_t prefetched = 0;  ///< experts queued
  int64_t useful = 0;      ///< of these, used
  int64_t wasted = 0;      ///< of these, evicted or dropped unused
};

/// When a router's logit is worth a transfer: see scoring::Calibration for the probability.
struct ForeseeRule {
  float scale = 1;
  float shared = 0;
  float offset = 0;
  float threshold = 0.5;  ///< least probability that is fetched
};

struct ForeseeRules {
  std::vector<ForeseeRule>
      depths;  ///< of the layer behind the running one, the one behind that ...
  /// How probable it is that an expert that was used so many steps ago (the last: or longer) is
  /// used in the next step: who leaves for a prefetch must be worth less. At most 16.
  std::vector<float> victim_worth{0.0F};
  torch::Tensor routers{};  ///< [L, E, H] float32, on the device
};

/// An expert cache that the device keeps by itself, on the current stream, so that a step can be
/// recorded as a CUDA graph: see kernels/cache/cache.h.
class DeviceExpertCache {
 public:
  /// Empty. `rules` without depths: nothing is prefetched. Throws c10::Error for what no kernel
  /// takes.
  DeviceExpertCache(const ExpertCacheShape& shape, std::vector<ExpertPart> parts,
                    const ForeseeRules& rules, torch::Device device);
  ~DeviceExpertCache();
  DeviceExpertCache(const DeviceExpertCache&) = delete;
  DeviceExpertCache& operator=(const DeviceExpertCache&) = delete;

  /// Tokens of a step that it serves, of `top_k` experts each.
  int64_t most_tokens(int64_t top_k) const;
  /// Slots of a layer's experts, right between bring() and the next layer's: [E] int32, at the same
  /// place for good.
  torch::Tensor matrices(int layer) const;

  // A step: begin_step(); for each layer in turn see(), bring(), the experts' products, foresee();
  // end_step().

  void begin_step();
  /// Scores the layers behind by their routers from what the layer's own reads.
  void see(int layer, const torch::Tensor& x);  // [T, H]
  /// Finds room for what a layer's tokens chose and brings what is missing.
  void bring(int layer, const torch::Tensor& chosen);  // [T, k] int64
  /// Queues what see() made probable.
  void foresee(int layer);
  void end_step();

  /// Between steps. What was on its way is not there.
  ExpertBooks books() const;
  void set_books(const ExpertBooks& books);
  std::vector<ExpertCacheCount> counts() const;  // [L]

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace foregate::nn
