#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "offload/cache/routing_event.h"
#include "offload/replay/steps.h"
#include "trace/geometry.h"

namespace foregate::offload {

/// A stretch of routing events, whole steps of them.
struct EventBlock {
  struct Header {
    int64_t step = 0;
    uint32_t first = 0;  ///< of its experts below
    uint16_t layer = 0;
    bool prompt = false;
    bool begins_text = false;  ///< the first event of a text
    uint8_t fold = 0;          ///< texts are even (0) or odd (1) in reading order
  };

  int64_t first_event = 0;  ///< how many came in earlier blocks
  int64_t tokens = 0;
  std::vector<Header> headers;
  std::vector<uint16_t> experts;
  std::vector<uint32_t> counts;    ///< tokens that chose each; empty if no step has several tokens
  std::vector<int64_t> next_uses;  ///< empty unless FutureUses has filled them in

  size_t size() const { return headers.size(); }
  RoutingEvent event(size_t i) const;
  void clear();
};

/// The distinct experts that the step's tokens chose at a layer, by first use, and how many tokens
/// chose each, behind what is there.
class ExpertUnion {
 public:
  explicit ExpertUnion(const trace::Geometry& geometry);
  void append(const Step& step, int layer, std::vector<uint16_t>& experts,
              std::vector<uint32_t>& counts);
  /// The same of decisions that lie behind each other, [tokens * k].
  void append(std::span<const int64_t> chosen, std::vector<uint16_t>& experts,
              std::vector<uint32_t>& counts);

 private:
  void begin(const std::vector<uint16_t>& experts, std::vector<uint32_t>& counts);
  void add(uint16_t expert, std::vector<uint16_t>& experts, std::vector<uint32_t>& counts);
  void end(const std::vector<uint16_t>& experts);

  int num_layers_;
  int top_k_;
  size_t first_ = 0;            // of the event's experts
  std::vector<int32_t> place_;  // [E] in the event, -1: not in it
};

/// Cuts the events of all steps into blocks: the same each time.
class EventStream {
 public:
  EventStream(const trace::Geometry& geometry, TextSource& texts, const ScheduleOptions& options);

  /// False at the end.
  bool next(EventBlock& block);
  void rewind();

 private:
  trace::Geometry geometry_;
  bool counts_;
  StepStream steps_;
  ExpertUnion union_;
  int64_t next_event_ = 0;
};

}  // namespace foregate::offload
