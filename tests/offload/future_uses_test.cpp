#include "offload/replay/future_uses.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"

namespace foregate::offload {
namespace {

constexpr ExpertGrid kGrid{2, 5};

/// Blocks of random events, some of them empty of text beginnings, of uneven length.
std::vector<EventBlock> random_blocks(Random& random, size_t count) {
  std::vector<EventBlock> blocks(count);
  int64_t events = 0;
  for (EventBlock& block : blocks) {
    block.first_event = events;
    const size_t size = 1 + random.below(9);
    for (size_t i = 0; i < size; ++i) {
      EventBlock::Header header;
      header.first = static_cast<uint32_t>(block.experts.size());
      header.layer = static_cast<uint16_t>(random.below(2));
      header.begins_text = random.below(6) == 0;
      block.headers.push_back(header);
      const size_t first = random.below(4);
      for (size_t e = first; e < first + 1 + random.below(2); ++e)
        block.experts.push_back(static_cast<uint16_t>(e));
    }
    events += static_cast<int64_t>(size);
  }
  return blocks;
}

/// The same over all events at once.
std::vector<int64_t> naive(const std::vector<EventBlock>& blocks, bool cold) {
  std::vector<RoutingEvent> events;
  std::vector<bool> begins;
  for (const EventBlock& block : blocks) {
    for (size_t i = 0; i < block.size(); ++i) {
      events.push_back(block.event(i));
      begins.push_back(block.headers[i].begins_text);
    }
  }
  std::vector<int64_t> uses;
  for (size_t i = 0; i < events.size(); ++i) {
    for (const uint16_t expert : events[i].experts) {
      int64_t next = kNeverUsed;
      for (size_t j = i + 1; j < events.size() && next == kNeverUsed; ++j) {
        if (cold && begins[j]) break;
        const auto found = std::find(events[j].experts.begin(), events[j].experts.end(), expert);
        if (events[j].layer == events[i].layer && found != events[j].experts.end())
          next = static_cast<int64_t>(j);
      }
      uses.push_back(next);
    }
  }
  return uses;
}

TEST(FutureUses, AreThoseOfAllEventsAtOnce) {
  Random random(5);
  for (const size_t count : {0, 1, 2, 7, 40}) {
    for (const bool cold : {false, true}) {
      std::vector<EventBlock> blocks = random_blocks(random, count);
      FutureUses future(kGrid, cold);
      for (const EventBlock& block : blocks) future.note(block);
      future.finish_notes();
      std::vector<int64_t> found;
      for (size_t i = 0; i < blocks.size(); ++i) {
        future.fill_in(blocks[i], i);
        found.insert(found.end(), blocks[i].next_uses.begin(), blocks[i].next_uses.end());
      }
      EXPECT_EQ(found, naive(blocks, cold)) << count << " blocks";
    }
  }
}

}  // namespace
}  // namespace foregate::offload
