#include <algorithm>

#include "kernels/divisor.cuh"
#include "kernels/thin/launch.cuh"
#include "kernels/thin/narrow.cuh"
#include "kernels/thin/tile.cuh"
#include "kernels/vector.cuh"
#include "kernels/workspace.h"

namespace foregate::kernels {
namespace {

constexpr int kPlanThreads = 256;
constexpr int kOneTeam = 2;  // warps that share a tile: of a single token
// The same of more: measured. NF4 has fewer pieces to share.
template <MatrixCodes kKind>
constexpr int kTeam = kKind == MatrixCodes::kNf4 ? 2 : 4;
constexpr int kDownSlots = 2;  // so that eight long rows fit

/// Some rows of x, at most kTokenTile, that meet one expert.
struct alignas(16) Group {
  int32_t matrix;  ///< of the expert
  int32_t begin;   ///< in Workspace::pairs
  int32_t count;
};

/// What lies in the workspace.
struct Workspace {
  __nv_bfloat16* inner;         ///< [pairs, inner]: a pair is a token and one of its experts
  __nv_bfloat16* shared_inner;  ///< [tokens, shared inner]
  float* shared_weight;         ///< [tokens]: sigmoid of the shared expert's gate
  float* outputs;               ///< [pairs + tokens, hidden]
  Group* groups;                ///< [groups]
  int32_t* num_groups;          ///< [1]
  int32_t* pairs;               ///< [pairs], by expert
};

struct Sizes {
  int64_t pairs;
  int64_t groups;  ///< as many as there may be
  int64_t inner;
  int64_t shared_inner;
  int64_t hidden;
};

Sizes sizes_of(const ThinExperts& problem) {
  const int64_t pairs = problem.tokens * problem.top_k;
  // One for each expert that has a pair, and one more for each eight behind its first eight.
  const int64_t groups = std::min(pairs, problem.experts + pairs / kTokenTile);
  return {pairs, groups, problem.gate_up.n / 2, problem.shared_gate_up.n / 2, problem.down.n};
}

Workspace lay_out(WorkspaceParts& parts, const ThinExperts& problem) {
  const Sizes sizes = sizes_of(problem);
  Workspace space{};
  space.inner = parts.take<__nv_bfloat16>(sizes.pairs * sizes.inner);
  space.shared_inner = parts.take<__nv_bfloat16>(problem.tokens * sizes.shared_inner);
  space.shared_weight = parts.take<float>(problem.tokens);
  space.outputs = parts.take<float>((sizes.pairs + problem.tokens) * sizes.hidden);
  space.groups = parts.take<Group>(sizes.groups);
  space.num_groups = parts.take<int32_t>(1);
  space.pairs = parts.take<int32_t>(sizes.pairs);
  return space;
}

__device__ int chosen_expert(const ThinExperts& problem, int64_t pair) {
  return static_cast<int>(problem.chosen[pair]);
}
/// Where an expert's matrices lie among the stacked ones.
__device__ int matrix_of(const ThinExperts& problem, int expert) {
  return problem.matrices == nullptr ? expert : problem.matrices[expert];
}

/// Groups pairs by expert. Their order within an expert's changes no result.
__global__ void __launch_bounds__(kPlanThreads)
    plan_kernel(const __grid_constant__ ThinExperts problem,
                const __grid_constant__ Workspace space, int pairs) {
  const auto experts = static_cast<int>(problem.experts);
  __shared__ int32_t next[kMostThinExperts];
  const int thread = static_cast<int>(threadIdx.x);
  for (int e = thread; e < experts; e += kPlanThreads) next[e] = 0;
  wait_for_previous();
  let_next_begin();
  __syncthreads();
  for (int i = thread; i < pairs; i += kPlanThreads) atomicAdd(&next[chosen_expert(problem, i)], 1);
  __syncthreads();
  if (thread < 32) {
    int groups = 0;
    int begin = 0;
    for (int first = 0; first < experts; first += 32) {
      const int e = first + thread;
      const int count = e < experts ? next[e] : 0;
      const int needs = (count + kTokenTile - 1) / kTokenTile;
      const int end = begin + warp_inclusive_sum(count);
      const int groups_end = groups + warp_inclusive_sum(needs);
      for (int i = 0; i < needs; ++i) {
        space.groups[groups_end - needs + i] = {matrix_of(problem, e), end - count + i * kTokenTile,
                                                min(kTokenTile, count - i * kTokenTile)};
      }
      if (count > 0) next[e] = end - count;
      begin = __shfl_sync(0xffffffffU, end, 31);
      groups = __shfl_sync(0xffffffffU, groups_end, 31);
    }
    if (thread == 0) *space.num_groups = groups;
  }
  __syncthreads();
  for (int i = thread; i < pairs; i += kPlanThreads) {
    space.pairs[atomicAdd(&next[chosen_expert(problem, i)], 1)] = i;
  }
}

/// sigmoid of each row's product with the shared expert's gate: a warp a row.
__device__ void weigh_shared(const ThinExperts& problem, const __nv_bfloat16* rows,
                             float* weights) {
  using Pack = Vector<__nv_bfloat16, 8>;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const auto* gate = static_cast<const Pack*>(problem.shared_gate);
  const int packs = static_cast<int>(problem.down.n) / 8;
  for (int token = static_cast<int>(threadIdx.x) / 32; token < problem.tokens;
       token += static_cast<int>(blockDim.x) / 32) {
    const auto* x = reinterpret_cast<const Pack*>(rows) + int64_t{token} * packs;
    float sum = 0;
#pragma unroll 8
    for (int i = lane; i < packs; i += 32) {
      const Pack a = x[i];
      const Pack b = gate[i];
#pragma unroll
      for (int e = 0; e < 8; ++e) sum += to_float(a.values[e]) * to_float(b.values[e]);
    }
    sum = warp_sum(sum);
    if (lane == 0) weights[token] = 1.0F / (1.0F + __expf(-sum));
  }
}

/// The tiles of a launch: the shared expert's, whose codes may be fetched at once, then the
/// groups'.
struct Tiles {
  Divisor of_shared;  ///< of eight tokens
  int shared;
  Divisor of_group;
  int blocks;  ///< that take them
};

/// The tiles of a matrix of the experts and one of the shared expert. Of a gated product a tile
/// holds eight gate rows and the up rows that they meet.
template <MatrixCodes kKind, bool kGated>
class ExpertTiles {
 public:
  struct Tile {
    const ThinMatrix* matrix;
    bool shared;
    int group;    ///< those of the shared expert have numbers below zero
    Group pairs;  ///< that it meets
    int low;      ///< this lane's rows
    int high;
  };

  static constexpr int kAnyGroup = -1;  ///< a norm's: that of the only token

  __device__ ExpertTiles(const ThinExperts& problem, const Workspace& space, const Tiles& tiles)
      : problem_(problem),
        space_(space),
        tiles_(tiles),
        block_(static_cast<int>(blockIdx.x)),
        early_(part_of(tiles.shared, block_, tiles.blocks)) {}

  __device__ const TileRange& early() const { return early_; }
  // From the other end, so that who has a tile more of the shared expert has one less of these.
  __device__ TileRange late() const {
    const int groups = problem_.tokens == 1 ? static_cast<int>(problem_.top_k) : *space_.num_groups;
    const TileRange range =
        part_of(groups * tiles_.of_group.value, tiles_.blocks - 1 - block_, tiles_.blocks);
    return {tiles_.shared + range.begin, tiles_.shared + range.end};
  }
  __device__ ThinNorm norm() const { return kGated ? problem_.norm : ThinNorm{}; }
  __device__ const __nv_bfloat16* x() const {
    return static_cast<const __nv_bfloat16*>(problem_.x);
  }
  __device__ int columns() const { return static_cast<int>(problem_.gate_up.k); }
  __device__ Tile tile(int index) const {
    Tile tile{};
    tile.shared = index < tiles_.shared;
    const Divisor& of_group = tile.shared ? tiles_.of_shared : tiles_.of_group;
    const int at = tile.shared ? index : index - tiles_.shared;
    const int number = of_group.divide(at);
    if (tile.shared) {
      const int first = number * kTokenTile;
      tile.group = -3 - number;
      tile.pairs = {0, first, min(kTokenTile, static_cast<int>(problem_.tokens) - first)};
      tile.matrix = kGated ? &problem_.shared_gate_up : &problem_.shared_down;
    } else {
      tile.group = number;
      tile.pairs = problem_.tokens == 1
                       ? Group{matrix_of(problem_, chosen_expert(problem_, number)), number, 1}
                       : space_.groups[number];
      tile.matrix = kGated ? &problem_.gate_up : &problem_.down;
    }
    tile.low = (at - number * of_group.value) * (kGated ? kTileRows / 2 : kTileRows) +
               static_cast<int>(threadIdx.x) % 32 / 4;
    tile.high = tile.low + (kGated ? static_cast<int>(tile.matrix->n) / 2 : kTileRows / 2);
    return tile;
  }
  __device__ TileRows rows(const Tile& tile) const {
    return tile_rows<kKind>(*tile.matrix, tile.pairs.matrix, tile.low, tile.high);
  }
  __device__ float2 scales(const Tile& tile) const {
    return row_scales_of<kKind>(*tile.matrix, tile.pairs.matrix, tile.low, tile.high);
  }
  __device__ void inputs(const Tile& tile, const __nv_bfloat16* (&rows)[1]) const {
    const int i = static_cast<int>(threadIdx.x) % 32 / 4;
    rows[0] = row(tile, i < tile.pairs.count ? i : 0);
  }
  __device__ bool is_single() const { return problem_.tokens == 1; }
  __device__ int64_t k(const Tile& tile) const { return tile.matrix->k; }
  __device__ int count(const Tile& tile) const { return tile.pairs.count; }
  __device__ const __nv_bfloat16* row(const Tile& tile, int i) const {
    const int row = member(tile, i);
    if constexpr (kGated) {
      const int token = tile.shared ? row : row / static_cast<int>(problem_.top_k);
      return x() + token * tile.matrix->k;
    } else {
      return (tile.shared ? space_.shared_inner : space_.inner) + row * tile.matrix->k;
    }
  }
  __device__ int end_of_group(const Tile& tile, int /*index*/) const {
    const int number = tile.shared ? -3 - tile.group : tile.group;
    const Divisor& of_group = tile.shared ? tiles_.of_shared : tiles_.of_group;
    return (tile.shared ? 0 : tiles_.shared) + (number + 1) * of_group.value;
  }
  /// silu(gate) * up, or the outputs of each pair and of the shared expert, unweighted.
  __device__ void store(const Tile& tile, int i, float low_sum, float high_sum) const {
    if (i >= tile.pairs.count) return;
    const int row = member(tile, i);
    if constexpr (kGated) {
      const int inner = static_cast<int>(tile.matrix->n) / 2;
      if (tile.low >= inner) return;
      __nv_bfloat16* const out = tile.shared ? space_.shared_inner : space_.inner;
      out[int64_t{row} * inner + tile.low] = __float2bfloat16_rn(silu(low_sum) * high_sum);
    } else {
      const int64_t first = tile.shared ? problem_.tokens * problem_.top_k : 0;
      const auto hidden = static_cast<int>(tile.matrix->n);
      float* const out = space_.outputs + (first + row) * hidden;
      if (tile.low < hidden) out[tile.low] = low_sum;
      if (tile.high < hidden) out[tile.high] = high_sum;
    }
  }

 private:
  /// Row number i of a group: a token of the shared expert, a pair of the others.
  __device__ int member(const Tile& tile, int i) const {
    const int at = tile.pairs.begin + i;
    return tile.shared || problem_.tokens == 1 ? at : space_.pairs[at];
  }

  const ThinExperts& problem_;
  const Workspace& space_;
  const Tiles& tiles_;
  const int block_;
  const TileRange early_;
};

/// The block that weighs the shared expert. `row`: for 2,048 values.
__device__ void weigh_shared_alone(const ThinExperts& problem, float* weights, __nv_bfloat16* row) {
  __shared__ NormSums norm_sums;
  const auto* const x = static_cast<const __nv_bfloat16*>(problem.x);
  const ThinNorm& norm = problem.norm;
  if (norm.weight == nullptr) {
    wait_for_previous();
    let_next_begin();
    weigh_shared(problem, x, weights);
    return;
  }
  const RowNorm<__nv_bfloat16, 8> row_norm(static_cast<const __nv_bfloat16*>(norm.weight),
                                           static_cast<int>(problem.gate_up.k));
  wait_for_previous();
  let_next_begin();
  row_norm.run(x, row, norm.epsilon, norm_sums);
  __syncthreads();
  weigh_shared(problem, row, weights);
}

/// A block more than take tiles weighs the shared expert.
template <MatrixCodes kKind>
__global__ void __launch_bounds__(kThreads)
    up_kernel(const __grid_constant__ ThinExperts problem, const __grid_constant__ Workspace space,
              const __grid_constant__ Tiles tiles, const __grid_constant__ CodeValues values) {
  extern __shared__ __align__(16) unsigned char memory[];
  auto& scratch = *reinterpret_cast<BlockScratch<kKind, 1>*>(memory);
  if (static_cast<int>(blockIdx.x) == tiles.blocks) {
    weigh_shared_alone(problem, space.shared_weight, scratch.x);
    return;
  }
  const ExpertTiles<kKind, true> work(problem, space, tiles);
  run_tiles<kKind, 1>(work, scratch, values);
}

template <MatrixCodes kKind>
__global__ void __launch_bounds__(kThreads)
    down_kernel(const __grid_constant__ ThinExperts problem,
                const __grid_constant__ Workspace space, const __grid_constant__ Tiles tiles,
                const __grid_constant__ CodeValues values) {
  extern __shared__ __align__(16) unsigned char memory[];
  const ExpertTiles<kKind, false> work(problem, space, tiles);
  run_tiles<kKind, 1>(work, *reinterpret_cast<BlockScratch<kKind, 1>*>(memory), values);
}

/// The same two where the rows of x fit beside the codes.
template <MatrixCodes kKind, int kOfTeam>
__global__ void __launch_bounds__(kNarrowThreads, 1)
    narrow_up_kernel(const __grid_constant__ ThinExperts problem,
                     const __grid_constant__ Workspace space, const __grid_constant__ Tiles tiles,
                     const __grid_constant__ CodePlanes planes) {
  extern __shared__ __align__(16) unsigned char memory[];
  if (static_cast<int>(blockIdx.x) == tiles.blocks) {
    weigh_shared_alone(problem, space.shared_weight, reinterpret_cast<__nv_bfloat16*>(memory));
    return;
  }
  const ExpertTiles<kKind, true> work(problem, space, tiles);
  run_narrow<kKind, kOfTeam, kNarrowSlots>(work, memory, planes);
}

template <MatrixCodes kKind>
__global__ void __launch_bounds__(kNarrowThreads, 1)
    narrow_down_kernel(const __grid_constant__ ThinExperts problem,
                       const __grid_constant__ Workspace space, const __grid_constant__ Tiles tiles,
                       const __grid_constant__ CodePlanes planes) {
  extern __shared__ __align__(16) unsigned char memory[];
  const ExpertTiles<kKind, false> work(problem, space, tiles);
  run_narrow<kKind, kTeam<kKind>, kDownSlots>(work, memory, planes);
}

/// residual[t] += what its experts say by their weights, in rank order, and the shared one.
__global__ void combine_kernel(const ThinExperts problem, const Workspace space) {
  const auto hidden = static_cast<int>(problem.down.n);
  const auto k = static_cast<int>(problem.top_k);
  const auto token = static_cast<int>(blockIdx.y);
  const int at = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  wait_for_previous();
  let_next_begin();
  if (at >= hidden) return;
  const float* const gates = problem.gate_weights + int64_t{token} * k;
  const float* const outputs = space.outputs + int64_t{token} * k * hidden + at;
  float sum = 0;
  for (int i = 0; i < k; ++i) sum += gates[i] * outputs[int64_t{i} * hidden];
  if (problem.shared_down.codes != nullptr) {
    const float weight = problem.shared_gate == nullptr ? 1.0F : space.shared_weight[token];
    sum += weight * space.outputs[(problem.tokens * k + token) * hidden + at];
  }
  auto* const residual = static_cast<__nv_bfloat16*>(problem.residual) + int64_t{token} * hidden;
  residual[at] = __float2bfloat16_rn(__bfloat162float(residual[at]) + sum);
}

/// Columns of a single token's down products: its experts' lie behind each other, then the shared
/// one's.
template <MatrixCodes kKind>
class DownColumns {
 public:
  struct Segment {
    const ThinMatrix* matrix;
    int number;  ///< of the matrix
    int index;   ///< of its weight; top_k: the shared one
    int begin;   ///< among all units
    int end;
  };

  __device__ explicit DownColumns(const ThinExperts& problem)
      : problem_(problem),
        routed_(num_units(row_bytes(kKind, problem.down.k))),
        shared_(problem.shared_down.codes == nullptr
                    ? 0
                    : num_units(row_bytes(kKind, problem.shared_down.k))) {}

  __device__ int units() const { return first_shared() + shared_; }
  __device__ int first_shared() const { return static_cast<int>(problem_.top_k) * routed_; }
  // The choice was made before the kernel in front of this one began to work.
  __device__ Segment at(int unit) const {
    if (unit >= first_shared()) {
      return {&problem_.shared_down, 0, static_cast<int>(problem_.top_k), first_shared(), units()};
    }
    const int index = unit / routed_;
    return {&problem_.down, matrix_of(problem_, chosen_expert(problem_, index)), index,
            index * routed_, (index + 1) * routed_};
  }

 private:
  const ThinExperts& problem_;
  const int routed_;
  const int shared_;
};

/// Shared memory of down_one_kernel; behind it, the columns of x.
template <MatrixCodes kKind, bool kRoom = kHasRoom>
struct DownScratch {
  using Ring = CodeRing<kKind, narrow_slots(kNarrowSlots, kRoom), kNarrowUnit>;
  alignas(16) unsigned char rings[kNarrowWarps][Ring::kBytes];
  float4 sums[kNarrowWarps][32];
  float largest[kNarrowWarps];
};

/// A single token's down products, weighted and added up, 16 rows a block. Each warp takes a run of
/// the columns.
template <MatrixCodes kKind>
__global__ void __launch_bounds__(kNarrowThreads, 1)
    down_one_kernel(const __grid_constant__ ThinExperts problem,
                    const __grid_constant__ Workspace space,
                    const __grid_constant__ CodePlanes planes) {
  extern __shared__ __align__(16) unsigned char memory[];
  auto& scratch = *reinterpret_cast<DownScratch<kKind>*>(memory);
  using Ring = typename DownScratch<kKind>::Ring;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int low = static_cast<int>(blockIdx.x) * kTileRows + lane / 4;
  const int high = low + kTileRows / 2;
  const DownColumns<kKind> columns(problem);
  const TileRange part = part_of(columns.units(), warp, kNarrowWarps);
  Ring ring(scratch.rings[warp]);

  int next = part.begin;
  int known = part.begin;  // end of the segment whose rows are at hand
  TileRows next_rows{};
  int next_begin = 0;
  const auto fetch = [&] {
    if (next < part.end) {
      if (next >= known) {
        const auto segment = columns.at(next);
        next_rows = tile_rows<kKind>(*segment.matrix, segment.number, low, high);
        next_begin = segment.begin;
        known = segment.end;
      }
      ring.fetch(next_rows, next - next_begin);
      ++next;
    }
    ring.commit();
  };
#pragma unroll 1
  for (int i = 0; i < Ring::kUnits; ++i) fetch();
  const auto hidden = static_cast<int>(problem.down.n);
  auto* const residual = static_cast<__nv_bfloat16*>(problem.residual);
  // Nobody writes into it from the choice of the experts on.
  const auto before = [&](int row) {
    return row < hidden ? __bfloat162float(residual[row]) : 0.0F;
  };
  const float low_before = before(low);
  const float high_before = before(high);
  wait_for_previous();
  let_next_begin();

  const StagedRows<kKind> staged(memory + sizeof(scratch), true);
  const auto thread = static_cast<int>(threadIdx.x);
  const auto routed = static_cast<int>(problem.top_k * problem.down.k);
  const auto shared =
      problem.shared_down.codes == nullptr ? 0 : static_cast<int>(problem.shared_down.k);
  float units = 1;
  float one = 1;  // in those units
  if constexpr (kKind == MatrixCodes::kInt8) {
    const float most = fmaxf(largest_of(space.inner, routed / 8, thread, kNarrowThreads),
                             largest_of(space.shared_inner, shared / 8, thread, kNarrowThreads));
    if (lane == 0) scratch.largest[warp] = most;
    __syncthreads();
    float largest = 0;
#pragma unroll
    for (const float of_warp : scratch.largest) largest = fmaxf(largest, of_warp);
    units = units_for(largest);
    one = 1 / units + (largest - largest);  // not a number if a value is not finite
  }
  for (int i = 0; i < problem.top_k; ++i) {
    const int k = static_cast<int>(problem.down.k);
    const auto pieces = static_cast<int>(row_bytes(kKind, k) / 16);
    staged.stage(space.inner + i * k, pieces, 0,
                 i * num_units(row_bytes(kKind, k)) * kNarrowUnit * 4, units, thread,
                 kNarrowThreads);
  }
  if (shared > 0) {
    staged.stage(space.shared_inner, static_cast<int>(row_bytes(kKind, shared) / 16), 0,
                 columns.first_shared() * kNarrowUnit * 4, units, thread, kNarrowThreads);
  }
  __syncthreads();

  const float row_scales[2] = {one, one};
  float low_total = 0;
  float high_total = 0;
  for (int at = part.begin; at < part.end;) {
    const auto segment = columns.at(at);
    const bool of_shared = segment.index == problem.top_k;
    const float2 scales = row_scales_of<kKind>(*segment.matrix, segment.number, low, high);
    float weight = of_shared ? 1.0F : problem.gate_weights[segment.index];
    if (of_shared && problem.shared_gate != nullptr) weight = space.shared_weight[0];
    Multiplier<kKind> products;
    const int segment_end = min(part.end, segment.end);
#pragma unroll 1
    for (; at < segment_end; ++at) {
      multiply_unit(products, staged, ring, at, planes);
      fetch();
    }
    const float4 sums = products.sums(row_scales);
    low_total += weight * scales.x * sums.x;
    high_total += weight * scales.y * sums.z;
  }
  scratch.sums[warp][lane] = {low_total, 0, high_total, 0};
  __syncthreads();
  if (warp > 0 || lane % 4 != 0) return;
  low_total = 0;
  high_total = 0;
#pragma unroll
  for (const auto& of_warp : scratch.sums) {
    low_total += of_warp[lane].x;
    high_total += of_warp[lane].z;
  }
  if (low < hidden) residual[low] = __float2bfloat16_rn(low_before + low_total);
  if (high < hidden) residual[high] = __float2bfloat16_rn(high_before + high_total);
}

template <MatrixCodes kKind>
size_t down_one_bytes(const ThinExperts& problem) {
  const bool has_room = launch_device().begins_early;
  const int64_t units =
      problem.top_k * num_units(row_bytes(kKind, problem.down.k)) +
      (problem.shared_down.codes == nullptr ? 0
                                            : num_units(row_bytes(kKind, problem.shared_down.k)));
  return (has_room ? sizeof(DownScratch<kKind, true>) : sizeof(DownScratch<kKind, false>)) +
         StagedRows<kKind>::bytes(units, true);
}

template <MatrixCodes kKind>
cudaError_t launch_down_one(const ThinExperts& problem, const Workspace& space,
                            cudaStream_t stream) {
  const size_t bytes = down_one_bytes<kKind>(problem);
  const cudaError_t error = cudaFuncSetAttribute(
      down_one_kernel<kKind>, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes));
  if (error != cudaSuccess) return error;
  const auto blocks = static_cast<unsigned>(num_tiles(problem.down.n, kTileRows));
  return launch_early(down_one_kernel<kKind>, {blocks, kNarrowThreads, bytes}, stream, problem,
                      space, code_planes(problem.down));
}

/// Tiles of one of the two products of experts.
struct Launch {
  Tiles tiles;
  int64_t most_tiles;
  int64_t most_columns;  ///< of a matrix
  unsigned more_blocks;
};

/// `narrow` where the rows of x fit beside the codes, else `wide`.
template <MatrixCodes kKind, int kSlots, typename Narrow, typename Wide>
cudaError_t launch_tiles(const Narrow& narrow, const Wide& wide, Launch launch,
                         const ThinExperts& problem, const Workspace& space, cudaStream_t stream) {
  const bool single = problem.tokens == 1;
  const bool fits = fits_narrow<kKind, kSlots>(launch.most_columns, single);
  LaunchShape shape;
  const cudaError_t error = fits
                                ? shape_for_narrow<kKind, kSlots>(
                                      narrow, launch.most_tiles, launch.most_columns, single, shape)
                                : shape_for_tiles<kKind, 1>(wide, launch.most_tiles, shape);
  if (error != cudaSuccess) return error;
  launch.tiles.blocks = static_cast<int>(shape.grid.x);
  shape.grid.x += launch.more_blocks;
  return fits ? launch_early(narrow, shape, stream, problem, space, launch.tiles,
                             code_planes(problem.gate_up))
              : launch_early(wide, shape, stream, problem, space, launch.tiles,
                             code_values(problem.gate_up));
}

template <MatrixCodes kKind>
cudaError_t launch(const ThinExperts& problem, const Workspace& space, cudaStream_t stream) {
  const Sizes sizes = sizes_of(problem);
  const bool single =
      problem.tokens == 1 && down_one_bytes<kKind>(problem) <= launch_device().shared_bytes;
  const int64_t shared_groups =
      sizes.shared_inner > 0 ? num_tiles(problem.tokens, kTokenTile) : int64_t{0};
  const int64_t groups = problem.tokens == 1 ? problem.top_k : sizes.groups;
  cudaError_t error = cudaSuccess;
  if (problem.tokens > 1) {
    error = launch_early(plan_kernel, {1, kPlanThreads}, stream, problem, space,
                         static_cast<int>(sizes.pairs));
    if (error != cudaSuccess) return error;
  }
  const auto launch_of = [&](int64_t group_tiles, int64_t shared_tiles, int64_t columns,
                             bool weighs) {
    const int64_t of_shared = shared_groups * shared_tiles;
    return Launch{.tiles = {.of_shared = Divisor(std::max<int64_t>(1, shared_tiles)),
                            .shared = static_cast<int>(of_shared),
                            .of_group = Divisor(group_tiles),
                            .blocks = 0},
                  .most_tiles = of_shared + groups * group_tiles,
                  .most_columns = columns,
                  .more_blocks = weighs ? 1U : 0U};
  };
  const Launch up =
      launch_of(num_tiles(sizes.inner, kTileRows / 2), num_tiles(sizes.shared_inner, kTileRows / 2),
                problem.gate_up.k, problem.shared_gate != nullptr);
  error = problem.tokens == 1
              ? launch_tiles<kKind, kNarrowSlots>(narrow_up_kernel<kKind, kOneTeam>,
                                                  up_kernel<kKind>, up, problem, space, stream)
              : launch_tiles<kKind, kNarrowSlots>(narrow_up_kernel<kKind, kTeam<kKind>>,
                                                  up_kernel<kKind>, up, problem, space, stream);
  if (error != cudaSuccess) return error;
  if (single) return launch_down_one<kKind>(problem, space, stream);
  const int64_t hidden_tiles = num_tiles(sizes.hidden, kTileRows);
  error = launch_tiles<kKind, kDownSlots>(
      narrow_down_kernel<kKind>, down_kernel<kKind>,
      launch_of(hidden_tiles, hidden_tiles,
                std::max(problem.down.k,
                         problem.shared_down.codes == nullptr ? int64_t{0} : problem.shared_down.k),
                false),
      problem, space, stream);
  if (error != cudaSuccess) return error;
  constexpr unsigned kCombineThreads = 256;
  const dim3 grid(static_cast<unsigned>(num_tiles(sizes.hidden, kCombineThreads)),
                  static_cast<unsigned>(problem.tokens));
  return launch_early(combine_kernel, {grid, kCombineThreads}, stream, problem, space);
}

}  // namespace

int64_t thin_experts_workspace(const ThinExperts& problem) {
  WorkspaceParts parts(nullptr);
  lay_out(parts, problem);
  return parts.bytes();
}

cudaError_t thin_experts(const ThinExperts& problem, cudaStream_t stream) {
  const bool shares = problem.shared_gate_up.codes != nullptr;
  const bool normalizes = problem.norm.weight != nullptr;
  if (problem.tokens < 1 ||
      (normalizes && (problem.tokens > 1 || !can_normalize_thin(problem.gate_up))) ||
      problem.tokens > kThinRows || problem.experts > kMostThinExperts ||
      problem.gate_up.kind != problem.down.kind ||
      (shares && (problem.shared_gate_up.kind != problem.gate_up.kind ||
                  problem.shared_down.kind != problem.gate_up.kind))) {
    return cudaErrorInvalidValue;
  }
  WorkspaceParts parts(problem.workspace);
  const Workspace space = lay_out(parts, problem);
  return with_codes(problem.gate_up.kind,
                    [&](auto kind) { return launch<kind.value>(problem, space, stream); });
}

}  // namespace foregate::kernels
