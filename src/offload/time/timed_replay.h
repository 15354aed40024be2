#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "offload/cache/expert_cache.h"
#include "offload/cache/found_count.h"
#include "offload/prediction/foresight.h"
#include "offload/replay/event_block.h"
#include "offload/time/hardware.h"
#include "offload/time/model_cost.h"
#include "offload/time/prefetcher.h"
#include "offload/time/time_histogram.h"
#include "offload/time/timeline.h"
#include "offload/time/transfer_link.h"

namespace foregate::offload {

struct TimedOptions {
  Policy policy;  ///< one that does without the future
  int64_t slots = 0;
  HardwareProfile hardware;
  ModelCost model;
  std::optional<PrefetchRule> prefetch;  ///< nothing: on demand
  bool cpu_experts = false;              ///< misses may be computed on the CPU beside the link
  int64_t host_slots = 0;  ///< experts that fit into host memory, the rest is read; 0: all fit
  bool cold = false;
};

/// What a run takes. Seconds are sums over all steps.
struct TimedResult {
  FoundCount generated;
  FoundCount prompt;
  TimeHistogram token_seconds;        ///< of generated tokens: TPOT
  TimeHistogram first_token_seconds;  ///< of prompts in batches: TTFT, without the time of others
  double seconds = 0;
  double compute_seconds = 0;
  double predictor_seconds = 0;
  double demand_seconds = 0;  ///< that the link is busy
  double prefetch_seconds = 0;
  /// Of generated tokens: no order of the same transfers is faster than the larger of a token's
  /// compute and the transfers that it needs.
  double bound_seconds = 0;
  double resident_seconds = 0;  ///< of generated tokens, with every expert there
  double demand_bytes = 0;
  double useful_bytes = 0;  ///< prefetched and used
  double wasted_bytes = 0;  ///< prefetched and evicted or dropped unused
  int64_t storage_reads = 0;

  double mean_bound() const;  ///< a token; NaN without any
  double mean_resident() const;
};

/// Runs steps against the clock: the device computes layer after layer and waits for experts; the
/// link moves them. Within a layer experts that are there are computed while others arrive. A
/// prefetch takes its slot when it begins; what is foreseen stays until its layer has passed, and
/// what was not moved by then is dropped. One cache, any number of texts.
class TimedReplay : private PrefetchLink {
 public:
  /// `foresight` may be null. Throws UsageError as ExpertCache does.
  TimedReplay(const trace::Geometry& geometry, const TimedOptions& options,
              std::unique_ptr<Foresight> foresight, std::span<const int64_t> counts = {});

  void run(const Step& step);
  /// Records what happens from now on; empty: nothing.
  void set_timeline(TimelineSpan timeline) { timeline_ = std::move(timeline); }
  TimedResult result() const;

 private:
  void foresee(const Step& step, int layer, bool at_router);
  void begin_foreseeing(const Step& step);
  void prefetch(const Step& step, int layer);
  void serve(const Step& step, int layer);
  void demand(size_t expert);
  double ready_at_host(size_t expert);
  size_t misses_on_cpu(size_t misses, int64_t demanded) const;
  void compute(int layer, double seconds);
  State prefetch_state(size_t expert) const override;
  void ask_for(size_t expert, int64_t need) override;
  double drop_prefetch(size_t expert) override;
  void left_slot(size_t expert) override;
  void span(TimelineLane lane, int layer, int expert, double start, double seconds);

  trace::Geometry geometry_;
  ExpertGrid grid_;
  TimedOptions options_;
  std::unique_ptr<Foresight> foresight_;
  ExpertCache cache_;
  std::optional<ExpertCache> host_;
  TransferLink link_;
  Prefetcher prefetcher_;
  ExpertUnion union_;
  TimelineSpan timeline_;
  TimedResult result_;

  double now_ = 0;
  double storage_free_ = 0;
  int64_t step_ = 0;
  int layer_ = 0;
  double step_compute_ = 0;
  int64_t step_transfers_ = 0;  // that the step's experts needed
  std::vector<Guess> guesses_;
  std::vector<double> first_token_;  // [sequences] so far
  std::vector<uint16_t> experts_;
  std::vector<uint32_t> counts_;
};

}  // namespace foregate::offload
