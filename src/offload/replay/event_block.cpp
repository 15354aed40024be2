#include "offload/replay/event_block.h"

namespace foregate::offload {
namespace {

/// Large beside what a block costs (threads are started for it), small beside memory.
constexpr size_t kBlockExperts = size_t{1} << 20;

}  // namespace

RoutingEvent EventBlock::event(size_t i) const {
  const Header& header = headers[i];
  const size_t end = i + 1 < headers.size() ? headers[i + 1].first : experts.size();
  const size_t size = end - header.first;
  RoutingEvent event{header.step, header.layer, {experts.data() + header.first, size}};
  if (!counts.empty()) event.tokens = {counts.data() + header.first, size};
  if (!next_uses.empty()) event.next_use = {next_uses.data() + header.first, size};
  return event;
}

void EventBlock::clear() {
  tokens = 0;
  headers.clear();
  experts.clear();
  counts.clear();
  next_uses.clear();
}

ExpertUnion::ExpertUnion(const trace::Geometry& geometry)
    : num_layers_(geometry.num_moe_layers),
      top_k_(geometry.top_k),
      place_(static_cast<size_t>(geometry.num_experts), -1) {}

void ExpertUnion::begin(const std::vector<uint16_t>& experts, std::vector<uint32_t>& counts) {
  first_ = experts.size();
  counts.resize(first_);
}

void ExpertUnion::add(uint16_t expert, std::vector<uint16_t>& experts,
                      std::vector<uint32_t>& counts) {
  int32_t& place = place_[expert];
  if (place < 0) {
    place = static_cast<int32_t>(experts.size() - first_);
    experts.push_back(expert);
    counts.push_back(1);
  } else {
    ++counts[first_ + static_cast<size_t>(place)];
  }
}

void ExpertUnion::end(const std::vector<uint16_t>& experts) {
  for (size_t i = first_; i < experts.size(); ++i) place_[experts[i]] = -1;
}

void ExpertUnion::append(const Step& step, int layer, std::vector<uint16_t>& experts,
                         std::vector<uint32_t>& counts) {
  begin(experts, counts);
  for (int32_t token = step.first_token; token < step.first_token + step.num_tokens; ++token) {
    const size_t decision = (static_cast<size_t>(token) * num_layers_ + layer) * top_k_;
    for (int rank = 0; rank < top_k_; ++rank) {
      add(step.text->experts[decision + static_cast<size_t>(rank)], experts, counts);
    }
  }
  end(experts);
}

void ExpertUnion::append(std::span<const int64_t> chosen, std::vector<uint16_t>& experts,
                         std::vector<uint32_t>& counts) {
  begin(experts, counts);
  for (const int64_t expert : chosen) add(static_cast<uint16_t>(expert), experts, counts);
  end(experts);
}

EventStream::EventStream(const trace::Geometry& geometry, TextSource& texts,
                         const ScheduleOptions& options)
    : geometry_(geometry),
      counts_(options.prompt_batch > 1),
      steps_(texts, options),
      union_(geometry) {}

void EventStream::rewind() {
  steps_.rewind();
  next_event_ = 0;
}

bool EventStream::next(EventBlock& block) {
  block.clear();
  block.first_event = next_event_;
  Step step;
  while (block.experts.size() < kBlockExperts && steps_.next(step)) {
    block.tokens += step.num_tokens;
    for (int layer = 0; layer < geometry_.num_moe_layers; ++layer) {
      block.headers.push_back({step.number, static_cast<uint32_t>(block.experts.size()),
                               static_cast<uint16_t>(layer), step.prompt,
                               step.begins_text && layer == 0,
                               static_cast<uint8_t>(step.text_number % 2)});
      union_.append(step, layer, block.experts, block.counts);
    }
  }
  if (!counts_) block.counts.clear();
  next_event_ += static_cast<int64_t>(block.size());
  return !block.headers.empty();
}

}  // namespace foregate::offload
