#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "offload/cache/routing_event.h"
#include "offload/replay/event_block.h"
#include "offload/replay/spill_file.h"

namespace foregate::offload {

/// When each expert of each event is used next, for Belady's policies, in two passes: the first
/// notes of every block which of its events uses an expert first, the second has then only to look
/// within a block and at the first uses behind it. Memory is one block's; the notes of all blocks
/// lie in a temporary file.
class FutureUses {
 public:
  /// With `cold` no use counts beyond the end of a text.
  FutureUses(const ExpertGrid& grid, bool cold);

  /// First pass, every block in its order.
  void note(const EventBlock& block);
  void finish_notes();

  /// Second pass, the same blocks: fills in next_uses.
  void fill_in(EventBlock& block, size_t block_number);

 private:
  ExpertGrid grid_;
  bool cold_;
  SpillFile first_uses_;
  std::vector<int64_t> next_;  // [L][E]
  std::vector<int64_t> record_;
};

}  // namespace foregate::offload
