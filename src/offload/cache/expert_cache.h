#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "offload/cache/policy.h"
#include "offload/cache/routing_event.h"

namespace foregate::offload {

/// Which experts lie in the slots of an expert cache, event by event: the bookkeeping of an expert
/// store that moves weights, and of a replay that does not. A slot holds any one expert.
class ExpertCache {
 public:
  static constexpr int64_t kFreeSlot = -1;

  /// An expert that gets a slot, and the one that leaves it.
  struct Load {
    size_t expert = 0;           ///< ExpertGrid::index
    int64_t victim = kFreeSlot;  ///< the same, or kFreeSlot
  };
  struct Outcome {
    std::vector<uint16_t> misses;  ///< of the event's experts, in its order
    /// Misses that get a slot. The others are used once and not kept, in room beside the slots.
    std::vector<Load> loads;
  };

  /// An empty cache; of a static policy, one that holds the experts of the highest `counts` [L][E]
  /// (uses by other texts; equals by lowest index) for good. Throws UsageError if `slots` cannot
  /// hold an event of `top_k` experts.
  ExpertCache(const ExpertGrid& grid, const Policy& policy, int64_t slots, int top_k,
              std::span<const int64_t> counts = {});

  /// Uses the event's experts and loads what is missing. An event of more experts than there are
  /// slots (a prompt's) keeps what lies there and fills free slots only. Missing experts of
  /// `elsewhere` are not loaded (the CPU computes them). The outcome is valid until the next call.
  const Outcome& serve(const RoutingEvent& event, std::span<const uint16_t> elsewhere = {});

  bool holds(int layer, int expert) const { return resident_[grid_.index(layer, expert)] != 0; }

  // Prefetching. An expert on its way has a slot; what the pending predictions want is pinned.

  /// Keeps the expert in its slot until unpin(); it must be there.
  void pin(size_t expert);
  void unpin(size_t expert);
  /// Gives a slot to an expert that is not there, pinned, before event `layer`'s successor runs.
  /// Nothing if every slot of its pool is pinned, or if the policy never loads.
  std::optional<Load> insert(size_t expert, int running_layer);
  /// Takes back an insert() whose copy was never begun: the slot is free.
  void remove(size_t expert);

  /// Back to an empty cache that knows nothing; a static one stays as it is.
  void reset();

  /// What a cache has seen and holds: enough for another of its kind to go on with the next step.
  struct Memory {
    int64_t step = -1;  ///< the last; -1: none
    int64_t first_step = 0;
    double clock = 0;
    double weight = 1;
    double scaled_down = 0;
    std::vector<double> values;     ///< [L][E]
    std::vector<double> last_uses;  ///< [L][E] of LFU, else none
    std::vector<uint8_t> resident;  ///< [L][E]
  };
  Memory memory() const;
  /// Takes over what another remembers, between two steps. Nothing is pinned.
  void remember(const Memory& memory);

  const Policy& policy() const { return policy_; }
  int64_t num_slots() const { return slots_; }
  /// Of a layer's own pool, if it has one.
  int64_t num_slots(int layer) const;

 private:
  struct Victim {
    double value = 0;
    int64_t expert = kFreeSlot;
  };

  void begin_step(int64_t step);
  void set_weight();
  void use(const RoutingEvent& event);
  std::span<const uint16_t> to_load(std::span<const uint16_t> elsewhere);
  void load_always(const RoutingEvent& event, std::span<const uint16_t> missing);
  void load_by_value(const RoutingEvent& event, std::span<const uint16_t> missing);
  void fill_free_slots(const RoutingEvent& event, std::span<const uint16_t> missing);
  void hold_static(std::span<const int64_t> counts);
  bool take_free_slot(int layer);
  void load(size_t expert, int64_t victim);
  void refresh_hits(const RoutingEvent& event);
  void set_rank(size_t expert);
  void touch_layer(int layer);
  Victim victim_of(int layer);
  void rescan(int layer);
  int64_t least_expert(int layer) const;
  int least_layer(int layer, double least) const;
  std::span<const double> ranks_of(int layer) const { return row_of(ranks_, layer); }
  std::span<const double> last_uses_of(int layer) const { return row_of(last_uses_, layer); }
  std::span<const double> row_of(const std::vector<double>& values, int layer) const {
    return {values.data() + grid_.index(layer, 0), static_cast<size_t>(grid_.num_experts)};
  }

  ExpertGrid grid_;
  Policy policy_;
  int64_t slots_;
  std::vector<double> values_;       // [L][E] of all experts, there or not
  std::vector<double> last_uses_;    // [L][E] of LFU: what breaks its ties
  std::vector<double> ranks_;        // [L][E] the value if the expert may be evicted, else infinite
  std::vector<uint8_t> resident_;    // [L][E]
  std::vector<uint16_t> pins_;       // [L][E]
  std::vector<int64_t> used_slots_;  // [L], or one if all layers share
  std::vector<double> least_;        // [L] the least rank in each layer ...
  std::vector<double> least_ties_;   // [L] ... of LFU with the tie of the expert that goes ...
  std::vector<uint8_t> changed_;     // [L] ... unless it has to be looked for again
  std::vector<int> changed_layers_;
  std::vector<size_t> used_now_;  // by this step, of least-stale
  int64_t step_ = -1;
  int64_t first_step_ = 0;
  double clock_ = 0;        // uses or loads so far
  double weight_ = 1;       // of a use now, of LRFU
  double scaled_down_ = 0;  // exponents by which all values were
  Outcome outcome_;
  std::vector<uint16_t> to_load_;
};

}  // namespace foregate::offload
