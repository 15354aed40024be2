#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/experts/cache_options.h"
#include "engine/experts/expert_counts.h"
#include "engine/experts/expert_mover.h"
#include "engine/experts/expert_slots.h"
#include "engine/experts/expert_store.h"
#include "engine/experts/live_foresight.h"
#include "engine/experts/prefetch_trial.h"
#include "offload/cache/expert_cache.h"
#include "offload/replay/event_block.h"
#include "offload/time/prefetcher.h"
#include "trace/geometry.h"

namespace foregate::engine {

/// Keeps experts in slots on the device and the rest in the host's memory. The host decides: it
/// reads each layer's routing, asks the bookkeeping of offload/ what is there, has what is missing
/// copied, and tells kernels which slot is whose. So steps are not recorded as graphs.
///
/// Nothing that a layer uses leaves its slot before its kernels are done with it, and nothing is
/// used before its copy is over. What has no slot is used from room beside the slots: as many views
/// of it as it takes, without touching what lies in the slots.
class CachedExperts : public ExpertStore, private offload::PrefetchLink {
 public:
  /// Refers to the experts of the layers, all of them in pieces. Throws UsageError for a policy
  /// that cannot be followed or fewer slots than one layer needs.
  CachedExperts(const std::vector<models::LayerWeights>& layers, const trace::Geometry& geometry,
                torch::Device device, const ExpertCacheOptions& options);

  /// Throws as the constructor would, before a model is loaded.
  static void check(const trace::Geometry& geometry, const ExpertCacheOptions& options);

  nn::ExpertWeights shape_of(int moe_layer) const override;
  bool runs_on_device(int64_t /*tokens*/) const override { return false; }
  void begin_step(const StepBatch& batch, std::span<const int64_t> past) override;
  void begin_layer(int moe_layer) override;
  void use(const ExpertRequest& request, const Work& work) override;
  void end_step() override;
  std::optional<ExpertCounts> counts() const override;

  // Who decides some steps elsewhere tells this one, and asks it, between steps.

  struct Books {
    offload::ExpertCache::Memory memory;
    std::vector<int64_t> owners;  ///< [slots]: ExpertGrid::index, or -1
  };
  Books books() const;
  /// What the current stream has been given so far may use any slot.
  void set_books(const Books& books);
  const ExpertSlots& slots() const { return slots_; }

 private:
  // An expert and the slot where it is, or will be.
  struct Placed {
    uint16_t expert;
    int64_t slot;
  };

  void hold_static();
  void abandon_step();
  void foresee(int layer);
  void span(offload::TimelineLane lane, int layer, int expert,
            std::chrono::steady_clock::time_point began);
  void serve(int layer);
  void use_by_experts(const ExpertRequest& request, const Work& work);
  void use_by_tokens(const ExpertRequest& request, std::span<const int64_t> chosen,
                     const Work& work);
  void end_layer(int layer);

  void bring(int layer, std::span<const Placed> passing);
  void show(const ExpertRequest& request, std::span<const Placed> there, ExpertView view,
            const Work& work);
  int64_t passing_slot(int64_t number) const { return cache_.num_slots() + number; }
  ExpertRoute route(size_t expert, int64_t slot) const;
  int64_t take_slot(size_t expert);

  State prefetch_state(size_t expert) const override;
  void ask_for(size_t expert, int64_t need) override;
  double drop_prefetch(size_t expert) override;
  void left_slot(size_t expert) override;
  std::optional<ExpertRoute> begin_prefetch(size_t expert);

  trace::Geometry geometry_;
  offload::ExpertGrid grid_;
  torch::Device device_;
  bool prefetches_;
  bool on_trial_;
  offload::TimelineSpan timeline_;
  std::chrono::steady_clock::time_point made_ = std::chrono::steady_clock::now();
  // What the mover's thread reads and writes as well, under its lock.
  offload::ExpertCache cache_;
  ExpertSlots slots_;
  offload::Prefetcher prefetcher_;
  std::vector<int64_t> slot_of_;  // [L][E], -1: none
  std::vector<int64_t> free_slots_;
  std::vector<tensor::DeviceEvent> used_;  // of every slot: when its last use is over
  int64_t step_ = -1;
  int layer_ = 0;
  ExpertCounts counts_;

  offload::ExpertUnion union_;
  std::optional<LiveForesight> foresight_;
  std::vector<offload::Guess> guesses_;
  PrefetchTrial trial_;
  bool asks_ = false;  // this step prefetches
  bool in_step_ = false;
  bool prompt_ = false;
  std::chrono::steady_clock::time_point began_;
  double demand_before_ = 0;
  std::vector<uint16_t> experts_;  // that the layer's tokens chose
  std::vector<uint32_t> chosen_by_;
  std::vector<Placed> resident_;   // of them: in slots
  std::vector<uint16_t> passing_;  // and not
  std::vector<size_t> in_use_;     // pinned while the layer runs
  mutable ExpertMover mover_;      // the last: its thread uses the rest
};

}  // namespace foregate::engine
