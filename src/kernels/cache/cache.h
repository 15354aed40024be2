#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

namespace foregate::kernels {

// An expert cache that the device keeps by itself: experts lie in pinned host memory, some of them
// in slots on the device; which, who leaves and what comes is decided by kernels, so that a step is
// one CUDA graph and nobody waits for the host. It decides as offload::ExpertCache does.
//
//   compute branch   begin_step | per MoE layer: look_up, fetch, products, foresee | end_step
//   side branch      run_mover, forked behind begin_step and joined behind end_step
//
// look_up takes the experts that a layer's tokens chose, gives slots to those that are missing and
// lists what has to be there before the products run; fetch copies it with some blocks of the
// device's; foresee queues what is probable of later layers; the mover copies what is queued while
// the compute branch computes. The products find an expert's weights by the slot number in
// `slot_of`.
//
// Who writes what. Tables (slot_of, values, slots, used, and in a transfer all but the two words
// below) belong to the compute branch, whose kernels follow each other; foresee alone runs beside
// one, the last of the products, which reads what foresee leaves as it is: the slots of the experts
// that the layer uses, and their numbers. The branches meet in three places only:
//   - Transfer::next, pieces claimed so far. Opened with a release store of 0 behind the fields
//     that say what is copied where; whoever wants to copy a piece takes a number with an atomic
//     add (acquire) and only then reads those fields. At or above the number of pieces there is
//     nothing to claim. Closed, when nobody needs the expert any more, with an atomic exchange,
//     which tells how many pieces were claimed.
//   - Transfer::done, pieces that have arrived: an atomic add (release) behind the piece's stores.
//     done == pieces claimed, seen with an acquire load: all that was claimed is in the slot, and
//     nobody writes there any more. A transfer and its slot are not used again before that, so a
//     claimed piece never finds its fields changed.
//   - CacheControl::stop, demand_open: hints for the mover, which leaves at the one and claims
//     nothing at the other, so that what the running layer misses has the link for itself.
//
// Nobody waits for what may not be running. The mover is never waited for as such: an expert on its
// way that is needed now (late) is finished by fetch, which claims its remaining pieces; it waits
// only for pieces that somebody has claimed, who therefore runs. If the mover is launched late, or
// never, or together with the compute branch on one queue, nothing changes but time; and if it is
// run before the compute branch can (a profiler that takes kernels one by one), it leaves after a
// while in which no layer was looked up.
//
// Slots are overwritten only when their last reader is done: victims are chosen by the compute
// branch, behind the products of all earlier layers, never among what the running layer uses or
// what is on its way; what is foreseen (`need` not yet past) leaves for the running layer's sake
// only, and last.

inline constexpr int kMostCacheExperts = 1024;  ///< E of a layer
inline constexpr int kMostCachePairs = 256;     ///< tokens x top-k of a step
inline constexpr int kMostCacheSlots = 16384;
inline constexpr int kMostTransfers = 64;
inline constexpr int kMostExpertParts = 6;
inline constexpr int kMostDepths = 8;      ///< layers ahead that are foreseen
inline constexpr int kMostForeseen = 512;  ///< E of a layer that is foreseen
inline constexpr int kVictimAges = 16;

/// offload::Policy's kinds that need neither the future nor a second key.
enum class SlotPolicy : int32_t { kLru, kLruByToken, kLrfu, kLeastStale, kStatic };

struct CacheShape {
  int32_t layers = 0;   ///< L, MoE layers
  int32_t experts = 0;  ///< E
  int32_t slots = 0;    ///< S
  /// Slots behind those, for what is used once and not kept where nothing can be evicted. They hold
  /// what a layer may miss, unless all slots together have room for a layer's experts and all
  /// transfers: then what is foreseen leaves before they run out.
  int32_t staging = 0;
  int32_t transfers = kMostTransfers;  ///< that may be on their way at once
  SlotPolicy policy = SlotPolicy::kLruByToken;
  bool by_layer = false;
  double half_life = 0;  ///< of kLrfu, in steps
};

/// The expert that lies in a slot, and what it is worth.
struct CacheSlot {
  alignas(32) double value;  ///< of the policy; without kFreshlyUsed
  int64_t need;              ///< last event (step * L + layer) that uses or is foreseen to use it
  int32_t owner;             ///< layer * E + expert, or -1: free
  int32_t transfer;          ///< that writes to the slot, or -1
  int32_t used_step;         ///< low bits of the step that used it last; -1: none
  int32_t unused;            ///< prefetched and not used so far
};

/// An expert on its way to a slot: see above for who writes what.
struct Transfer {
  alignas(64) uint32_t next;  ///< pieces claimed
  uint32_t done;              ///< pieces that have arrived
  int32_t expert;             ///< layer * E + expert
  int32_t slot;
  int64_t need;       ///< event it is needed at: the mover takes the earliest first
  uint32_t expected;  ///< pieces that will have arrived in the end
  int32_t state;      ///< kIdle, ...
  static constexpr int32_t kIdle = 0;
  static constexpr int32_t kMoving = 1;
  static constexpr int32_t kDropped = 2;  ///< only what was claimed still arrives; its slot is lost
  static constexpr uint32_t kClosed = 1U << 30;
};

/// An expert that has to be there before the running layer's products.
struct Demand {
  int32_t expert;
  int32_t slot;
  int32_t transfer;  ///< that brings it already, or -1
};

/// Of one layer since the cache was filled.
struct CacheCounts {
  int64_t hits;
  int64_t late;
  int64_t misses;
  int64_t passed;      ///< misses that got no slot
  int64_t prefetched;  ///< experts queued
  int64_t useful;      ///< of these, used
  int64_t wasted;      ///< of these, evicted or dropped unused
  int64_t not_worth;   ///< foreseen, but no slot or no room in the queue for them
};

struct CacheControl {
  int64_t step;
  int64_t first_step;
  double clock;
  double weight;       ///< of a use now, of LRFU
  double scaled_down;  ///< exponents by which all values were
  int32_t num_demands;
  int32_t num_misses;  ///< demands[0 .. num_misses) have no transfer
  uint32_t blocks_done;
  uint32_t chaos;  ///< not 0: transfers are delayed and reordered at random, for tests
  // What the mover polls.
  alignas(64) int32_t stop;
  int32_t demand_open;
  uint32_t events;  ///< layers looked up
};

/// The cache's books, in one piece of memory: the device's, or a copy of it on the host.
struct CacheTables {
  CacheShape shape{};
  int32_t* slot_of = nullptr;       ///< [L, E]: slot, staging slot of the running event, or -1
  double* values = nullptr;         ///< [L, E] of all experts, there or not
  CacheSlot* slots = nullptr;       ///< [S]
  int32_t* used = nullptr;          ///< [L]: slots taken in each layer's pool; [0] if all share
  Transfer* transfers = nullptr;    ///< [transfers]
  Demand* demands = nullptr;        ///< [kMostCachePairs]
  CacheCounts* counts = nullptr;    ///< [L]
  CacheControl* control = nullptr;  ///< [1]

  int64_t index(int layer, int expert) const { return int64_t{layer} * shape.experts + expert; }
};

/// Whether kernels take a cache of this shape.
bool can_run_cache(const CacheShape& shape);
int64_t cache_table_bytes(const CacheShape& shape);
/// `memory` of cache_table_bytes(), 64-byte aligned.
CacheTables lay_out_cache(const CacheShape& shape, void* memory);
/// Makes the books of an empty cache, in host memory.
void clear_cache(const CacheTables& host);

/// Where experts lie: each as a few contiguous parts, such as codes and scales of two matrices.
struct ExpertParts {
  int32_t count = 0;
  int64_t bytes[kMostExpertParts] = {};         ///< of one expert's; multiples of 4
  void* slots[kMostExpertParts] = {};           ///< [S + staging, bytes] on the device
  int64_t host_strides[kMostExpertParts] = {};  ///< bytes between two experts of a layer
  const void* const* hosts = nullptr;           ///< [L, count] on the device: first expert's, in
                                                ///< pinned memory
  int64_t piece_bytes = 128 << 10;              ///< what the mover copies at once
};

/// One layer's choice.
struct CacheEvent {
  int32_t layer = 0;
  int32_t tokens = 0;
  int32_t top_k = 0;
  const int64_t* chosen = nullptr;  ///< [tokens, top_k]
};

/// How probable it is that a score's expert is chosen: see scoring::Calibration; and from which
/// probability on it is fetched.
struct DepthRule {
  float scale = 1;
  float shared = 0;
  float offset = 0;
  float threshold = 2;  ///< above 1: never
};

/// What is foreseen of the layers behind the running one.
struct Foreseen {
  const float* scores = nullptr;  ///< [tokens, depths, E]: of layer + 1 + depth
  int64_t token_stride = 0;       ///< elements between tokens
  int32_t depths = 0;
  int32_t tokens = 0;
  int32_t most = 8;                  ///< experts of a layer that are queued at once
  const DepthRule* rules = nullptr;  ///< [depths] on the device
  /// [kVictimAges] on the device: how probable it is that an expert which was used so many steps
  /// ago is used in the next one. A victim must be worth less than what comes.
  const float* victim_worth = nullptr;
};

/// Counts the step, and lets the mover run.
cudaError_t cache_begin_step(const CacheTables& tables, cudaStream_t stream);
/// One block. At most kMostCachePairs pairs.
cudaError_t cache_look_up(const CacheTables& tables, const CacheEvent& event,
                          const ExpertParts& parts, cudaStream_t stream);
/// Copies what the lookup in front of it found missing, by so many blocks.
cudaError_t cache_fetch(const CacheTables& tables, const ExpertParts& parts, int blocks,
                        cudaStream_t stream);
/// Queues what is foreseen of the layers behind `layer`. Behind the layer's products, the last of
/// which it runs beside: the scores are older than they are.
cudaError_t cache_foresee(const CacheTables& tables, const ExpertParts& parts, int layer,
                          const Foreseen& foreseen, cudaStream_t stream);
/// Lets the mover leave.
cudaError_t cache_end_step(const CacheTables& tables, cudaStream_t stream);
/// Copies what is queued until the step ends. On a stream that was forked behind
/// cache_begin_step(), to be joined behind cache_end_step().
cudaError_t cache_run_mover(const CacheTables& tables, const ExpertParts& parts, int blocks,
                            cudaStream_t stream);

}  // namespace foregate::kernels
