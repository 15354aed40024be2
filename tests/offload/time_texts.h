#pragma once

#include <utility>
#include <vector>

#include "base/random.h"
#include "offload/memory_texts.h"
#include "offload/time/timed_replay.h"
#include "support/random_trace.h"

namespace foregate::testing {

/// Texts whose tokens often choose what the token before them chose.
inline std::vector<trace::Trace> sticky_texts(const trace::Geometry& geometry, int texts,
                                              int tokens, uint64_t seed = 1) {
  Random random(seed);
  std::vector<trace::Trace> all;
  for (int i = 0; i < texts; ++i) {
    trace::Trace text = stats::random_trace(geometry, "d", tokens, random);
    const size_t width = static_cast<size_t>(geometry.num_moe_layers) * geometry.top_k;
    for (size_t at = width; at < text.experts.size(); at += static_cast<size_t>(geometry.top_k)) {
      if (random.uniform() < 0.5) continue;
      for (size_t rank = 0; rank < static_cast<size_t>(geometry.top_k); ++rank)
        text.experts[at + rank] = text.experts[at + rank - width];
    }
    all.push_back(std::move(text));
  }
  return all;
}

/// A link of 10 GB/s and 1 MB experts: 100 us each; a layer computes 50 us and 1 us an expert.
inline offload::TimedOptions plain_options(const char* policy, int64_t slots, int num_layers) {
  offload::TimedOptions options;
  options.policy = offload::parse_policy(policy);
  options.slots = slots;
  options.hardware.host_to_device.points = {{1e6, 1e10}};
  options.hardware.device_bytes_per_second = 1e12;
  options.hardware.device_flops = 1e15;
  options.hardware.layer_seconds = 50e-6;
  options.model.expert_bytes = 1e6;
  options.model.num_layers = num_layers;
  return options;
}

inline offload::TimedResult run_timed(const trace::Geometry& geometry,
                                      const std::vector<trace::Trace>& texts,
                                      const offload::TimedOptions& options,
                                      std::unique_ptr<offload::Foresight> foresight = nullptr,
                                      const offload::ScheduleOptions& schedule = {}) {
  MemoryTexts source(texts);
  offload::StepStream steps(source, schedule);
  offload::TimedReplay replay(geometry, options, std::move(foresight));
  for (offload::Step step; steps.next(step);) replay.run(step);
  return replay.result();
}

}  // namespace foregate::testing
