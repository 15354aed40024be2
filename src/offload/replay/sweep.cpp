#include "offload/replay/sweep.h"

#include <algorithm>
#include <array>
#include <functional>
#include <limits>
#include <memory>
#include <numeric>
#include <optional>

#include "base/error.h"
#include "offload/replay/cell_replay.h"
#include "offload/replay/future_uses.h"
#include "offload/replay/recency_curve.h"
#include "offload/replay/run_all.h"

namespace foregate::offload {
namespace {

bool is_lru(const Policy& policy) {
  return policy.kind == Policy::Kind::kLru;
}

class Sweeper {
 public:
  Sweeper(const trace::Geometry& geometry, TextSource& texts, const SweepOptions& options,
          const RunContext& run)
      : options_(options),
        run_(run),
        geometry_(geometry),
        grid_{geometry.num_moe_layers, geometry.num_experts},
        stream_(geometry, texts, options.schedule) {
    check_schedule(options.schedule);
    for (std::vector<int64_t>& counts : counts_) counts.resize(grid_.size());
  }

  SweepResult run() {
    const auto needs = [&](auto&& property) {
      return std::any_of(options_.policies.begin(), options_.policies.end(), property);
    };
    const bool future = needs([](const Policy& policy) { return policy.needs_future(); });
    const bool counts =
        needs([](const Policy& policy) { return policy.kind == Policy::Kind::kStatic; });
    passes_ = future || counts ? 2 : 1;
    progress_ = run_.progress.start({.label = "replay",
                                     .unit = "tokens",
                                     .total = options_.expected_tokens * passes_,
                                     .per_minute = true});
    if (future) future_.emplace(grid_, options_.schedule.cold);
    if (future || counts) survey();
    make_replays();
    replay();
    progress_->finish();
    store();
    return std::move(result_);
  }

 private:
  bool one_pass(const Policy& policy) const {
    return is_lru(policy) && options_.schedule.prompt_batch <= 1;
  }

  void survey() {
    for (EventBlock block; stream_.next(block);) {
      if (future_) future_->note(block);
      for (size_t i = 0; i < block.size(); ++i) {
        const RoutingEvent event = block.event(i);
        std::vector<int64_t>& counts = counts_[block.headers[i].fold];
        for (size_t j = 0; j < event.experts.size(); ++j) {
          counts[grid_.index(event.layer, event.experts[j])] +=
              event.tokens.empty() ? 1 : event.tokens[j];
        }
      }
      advance(block);
    }
    if (future_) future_->finish_notes();
    stream_.rewind();
  }

  void advance(const EventBlock& block) {
    run_.stop.check("nothing was written");
    done_ += block.tokens;
    progress_->update(done_);
  }

  void make_replays() {
    const bool no_other_texts =
        std::all_of(counts_[1].begin(), counts_[1].end(), [](int64_t count) { return count == 0; });
    for (const Policy& policy : options_.policies) {
      if (one_pass(policy)) curve_of(policy.by_layer);
      for (const int64_t slots : options_.slots) {
        SweepCell& cell = result_.cells.emplace_back();
        cell.policy = policy;
        cell.slots = slots;
        std::unique_ptr<CellReplay> replay;
        try {
          replay = std::make_unique<CellReplay>(grid_, policy, slots, geometry_.top_k,
                                                options_.schedule.cold, counts_);
        } catch (const UsageError& error) {
          cell.impossible = error.what();
        }
        if (policy.kind == Policy::Kind::kStatic && no_other_texts) {
          cell.impossible = "a static cache is filled by other texts, and there is only one text";
          replay.reset();
        }
        if (one_pass(policy)) replay.reset();
        replays_.push_back(std::move(replay));
      }
    }
    if (options_.curves && options_.schedule.prompt_batch <= 1) {
      curve_of(false);
      curve_of(true);
    }
  }

  RecencyCurve& curve_of(bool by_layer) {
    std::unique_ptr<RecencyCurve>& curve = curves_[by_layer ? 1 : 0];
    if (!curve) curve = std::make_unique<RecencyCurve>(grid_, by_layer, options_.schedule.cold);
    return *curve;
  }

  void replay() {
    size_t number = 0;
    for (EventBlock block; stream_.next(block); ++number) {
      if (future_) future_->fill_in(block, number);
      std::vector<std::function<void()>> tasks;
      for (const auto& curve : curves_) {
        if (curve) tasks.push_back([&] { curve->add(block); });
      }
      for (const auto& replay : replays_) {
        if (replay) tasks.push_back([&] { replay->add(block); });
      }
      run_all(tasks, options_.threads);
      for (const EventBlock::Header& header : block.headers) {
        result_.texts += header.begins_text;
        result_.steps += header.layer == 0;
      }
      result_.requests += static_cast<int64_t>(block.experts.size());
      result_.tokens += block.tokens;
      advance(block);
    }
  }

  void store() {
    for (size_t i = 0; i < result_.cells.size(); ++i) {
      SweepCell& cell = result_.cells[i];
      if (replays_[i]) {
        replays_[i]->store(cell);
      } else if (cell.impossible.empty()) {
        cell.hits_by_layer = curve_of(cell.policy.by_layer).hits_by_layer(cell.slots);
        cell.generated = {result_.requests, std::accumulate(cell.hits_by_layer.begin(),
                                                            cell.hits_by_layer.end(), int64_t{0})};
      }
    }
    if (!options_.curves) return;
    for (const bool by_layer : {false, true}) {
      if (!curves_[by_layer ? 1 : 0]) continue;
      SweepCurve& curve = result_.curves.emplace_back();
      curve.policy.by_layer = by_layer;
      curve.hits = curve_of(by_layer).hits_by_size();
    }
  }

  const SweepOptions& options_;
  const RunContext& run_;
  trace::Geometry geometry_;
  ExpertGrid grid_;
  EventStream stream_;
  std::optional<FutureUses> future_;
  FoldCounts counts_;
  std::array<std::unique_ptr<RecencyCurve>, 2> curves_;  // global, by layer
  std::vector<std::unique_ptr<CellReplay>> replays_;  // a cell; null if a curve tells it, or none
  std::unique_ptr<ProgressTask> progress_;
  int64_t passes_ = 1;
  int64_t done_ = 0;
  SweepResult result_;
};

}  // namespace

double HitCount::rate() const {
  if (requests == 0) return std::numeric_limits<double>::quiet_NaN();
  return static_cast<double>(hits) / static_cast<double>(requests);
}

SweepResult sweep(const trace::Geometry& geometry, TextSource& texts, const SweepOptions& options,
                  const RunContext& run) {
  return Sweeper(geometry, texts, options, run).run();
}

}  // namespace foregate::offload
