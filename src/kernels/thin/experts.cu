#include <algorithm>

#include "kernels/thin/launch.cuh"
#include "kernels/thin/tile.cuh"
#include "kernels/vector.cuh"
#include "kernels/workspace.h"

namespace foregate::kernels {
namespace {

constexpr int kDownWarps = 20;  // of a single token, whose tiles are few
constexpr int kPlanThreads = 256;

/// Some rows of x, at most kTokenTile, that meet one expert.
struct alignas(16) Group {
  int32_t matrix;  ///< of its expert
  int32_t begin;   ///< in Workspace::pairs
  int32_t count;
};

/// What lies in the workspace.
struct Workspace {
  __nv_bfloat16* inner;         ///< [pairs, inner]: a pair is a token and one of its experts
  __nv_bfloat16* shared_inner;  ///< [tokens, shared inner]
  float* shared_weight;         ///< [tokens]: sigmoid of the shared expert's gate
  float* outputs;               ///< [pairs + tokens, hidden]; of a single token: none
  Group* groups;                ///< [groups]
  int32_t* num_groups;          ///< [1]
  int32_t* pairs;               ///< [pairs], by expert
};

/// Which of the stacked matrices an expert has.
__device__ inline int matrix_of(const int32_t* matrices, int expert) {
  return matrices == nullptr ? expert : matrices[expert];
}

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
  const bool single = problem.tokens == 1;
  Workspace space{};
  space.inner = parts.take<__nv_bfloat16>(sizes.pairs * sizes.inner);
  space.shared_inner = parts.take<__nv_bfloat16>(problem.tokens * sizes.shared_inner);
  space.shared_weight = parts.take<float>(problem.tokens);
  space.outputs = parts.take<float>(single ? 0 : (sizes.pairs + problem.tokens) * sizes.hidden);
  space.groups = parts.take<Group>(sizes.groups);
  space.num_groups = parts.take<int32_t>(1);
  space.pairs = parts.take<int32_t>(sizes.pairs);
  return space;
}

/// Groups pairs by expert. Their order within an expert's changes no result.
__global__ void __launch_bounds__(kPlanThreads)
    plan_kernel(const int64_t* __restrict__ chosen, const int32_t* __restrict__ matrices,
                const Workspace space, int pairs, int experts) {
  __shared__ int32_t next[kMostThinExperts];
  const int thread = static_cast<int>(threadIdx.x);
  for (int e = thread; e < experts; e += kPlanThreads) next[e] = 0;
  wait_for_previous();
  let_next_begin();
  __syncthreads();
  for (int i = thread; i < pairs; i += kPlanThreads) atomicAdd(&next[chosen[i]], 1);
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
        space.groups[groups_end - needs + i] = {matrix_of(matrices, e),
                                                end - count + i * kTokenTile,
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
    space.pairs[atomicAdd(&next[chosen[i]], 1)] = i;
  }
}

/// sigmoid of each token's product with the shared expert's gate: a warp a token.
__device__ void weigh_shared(const ThinExperts& problem, float* weights) {
  using Pack = Vector<__nv_bfloat16, 8>;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const auto* gate = static_cast<const Pack*>(problem.shared_gate);
  const int packs = static_cast<int>(problem.down.n) / 8;
  for (int token = static_cast<int>(threadIdx.x) / 32; token < problem.tokens; token += kWarps) {
    const auto* x = static_cast<const Pack*>(problem.x) + int64_t{token} * packs;
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

/// Divides small numbers, times 2^32 / divisor.
struct Divisor {
  explicit Divisor(int64_t divisor)
      : value(static_cast<int>(divisor)),
        inverse(static_cast<uint32_t>((int64_t{1} << 32) / divisor) + 1) {}

  /// Exact for number * value < 2^32.
  __device__ int divide(int number) const {
    return value == 1 ? number : static_cast<int>(__umulhi(static_cast<uint32_t>(number), inverse));
  }

  int value;
  uint32_t inverse;
};

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
    Group group;
    int low;  ///< this lane's rows
    int high;
  };

  __device__ ExpertTiles(const ThinExperts& problem, const Workspace& space, const Tiles& tiles)
      : ready(tiles.shared), problem_(problem), space_(space), tiles_(tiles) {}

  const int ready;

  __device__ int stride() const { return tiles_.blocks; }
  __device__ int begin() const {
    const int groups = problem_.tokens == 1 ? static_cast<int>(problem_.top_k) : *space_.num_groups;
    return tiles_.shared + groups * tiles_.of_group.value;
  }
  __device__ Tile tile(int index) const {
    Tile tile{};
    tile.shared = index < tiles_.shared;
    const Divisor& of_group = tile.shared ? tiles_.of_shared : tiles_.of_group;
    const int at = tile.shared ? index : index - tiles_.shared;
    const int number = of_group.divide(at);
    if (tile.shared) {
      const int first = number * kTokenTile;
      tile.group = {0, first, min(kTokenTile, static_cast<int>(problem_.tokens) - first)};
      tile.matrix = kGated ? &problem_.shared_gate_up : &problem_.shared_down;
    } else {
      tile.group =
          problem_.tokens == 1
              ? Group{matrix_of(problem_.matrices, static_cast<int>(problem_.chosen[number])),
                      number, 1}
              : space_.groups[number];
      tile.matrix = kGated ? &problem_.gate_up : &problem_.down;
    }
    tile.low = (at - number * of_group.value) * (kGated ? kTileRows / 2 : kTileRows) +
               static_cast<int>(threadIdx.x) % 32 / 4;
    tile.high = tile.low + (kGated ? static_cast<int>(tile.matrix->n) / 2 : kTileRows / 2);
    return tile;
  }
  __device__ TileRows rows(const Tile& tile) const {
    return tile_rows<kKind>(*tile.matrix, tile.group.matrix, tile.low, tile.high);
  }
  __device__ float2 scales(const Tile& tile) const {
    return row_scales_of<kKind>(*tile.matrix, tile.group.matrix, tile.low, tile.high);
  }
  __device__ void inputs(const Tile& tile, const __nv_bfloat16* (&x)[1]) const {
    const int i = static_cast<int>(threadIdx.x) % 32 / 4;
    const int row = member(tile, i < tile.group.count ? i : 0);
    if constexpr (kGated) {
      const int token = tile.shared ? row : row / static_cast<int>(problem_.top_k);
      x[0] = static_cast<const __nv_bfloat16*>(problem_.x) + token * tile.matrix->k;
    } else {
      x[0] = (tile.shared ? space_.shared_inner : space_.inner) + row * tile.matrix->k;
    }
  }
  /// silu(gate) * up, or the outputs of each pair and of the shared expert, unweighted.
  __device__ void store(const Tile& tile, int i, float low_sum, float high_sum) const {
    if (i >= tile.group.count) return;
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
    const int at = tile.group.begin + i;
    return tile.shared || problem_.tokens == 1 ? at : space_.pairs[at];
  }

  const ThinExperts& problem_;
  const Workspace& space_;
  const Tiles& tiles_;
};

/// A block more than take tiles weighs the shared expert.
template <MatrixCodes kKind>
__global__ void __launch_bounds__(kThreads)
    up_kernel(const ThinExperts problem, const Workspace space, const Tiles tiles) {
  extern __shared__ __align__(16) unsigned char memory[];
  if (static_cast<int>(blockIdx.x) == tiles.blocks) {
    wait_for_previous();
    let_next_begin();
    weigh_shared(problem, space.shared_weight);
    return;
  }
  const ExpertTiles<kKind, true> work(problem, space, tiles);
  run_tiles<kKind, 1>(work, *reinterpret_cast<BlockScratch<1>*>(memory));
}

template <MatrixCodes kKind>
__global__ void __launch_bounds__(kThreads)
    down_kernel(const ThinExperts problem, const Workspace space, const Tiles tiles) {
  extern __shared__ __align__(16) unsigned char memory[];
  const ExpertTiles<kKind, false> work(problem, space, tiles);
  run_tiles<kKind, 1>(work, *reinterpret_cast<BlockScratch<1>*>(memory));
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

/// Shared memory of down_one_kernel.
struct DownScratch {
  alignas(16) unsigned char rings[kDownWarps][CodeRing::kBytes];
  float4 sums[kDownWarps][1][32];
  float table[16];
};

/// Columns of a single token's down products: its experts' lie behind each other, then the shared
/// one's.
template <MatrixCodes kKind>
class DownColumns {
 public:
  struct Segment {
    const ThinMatrix* matrix;
    int number;  ///< of the matrix among the stacked
    int index;   ///< of its weight; top_k: the shared one
    int begin;   ///< among all chunks
    int end;
  };

  __device__ explicit DownColumns(const ThinExperts& problem)
      : problem_(problem),
        routed_(num_chunks(row_bytes(kKind, problem.down.k))),
        shared_(problem.shared_down.codes == nullptr
                    ? 0
                    : num_chunks(row_bytes(kKind, problem.shared_down.k))) {}

  __device__ int chunks() const { return first_shared() + shared_; }
  // The choice was made before the kernel in front of this one began to work.
  __device__ Segment at(int chunk) const {
    if (chunk >= first_shared()) {
      return {&problem_.shared_down, 0, static_cast<int>(problem_.top_k), first_shared(), chunks()};
    }
    const int index = chunk / routed_;
    const int expert = static_cast<int>(problem_.chosen[index]);
    return {&problem_.down, matrix_of(problem_.matrices, expert), index, index * routed_,
            (index + 1) * routed_};
  }

 private:
  __device__ int first_shared() const { return static_cast<int>(problem_.top_k) * routed_; }

  const ThinExperts& problem_;
  const int routed_;
  const int shared_;
};

/// A single token's down products, weighted and added up, 16 rows a block. Each warp takes a run of
/// the columns.
template <MatrixCodes kKind>
__global__ void __launch_bounds__(32 * kDownWarps)
    down_one_kernel(const ThinExperts problem, const Workspace space) {
  extern __shared__ __align__(16) unsigned char memory[];
  auto& scratch = *reinterpret_cast<DownScratch*>(memory);
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int low = static_cast<int>(blockIdx.x) * kTileRows + lane / 4;
  const int high = low + kTileRows / 2;
  const DownColumns<kKind> columns(problem);
  const int share = (columns.chunks() + kDownWarps - 1) / kDownWarps;
  const int begin = warp * share;
  const int end = min(begin + share, columns.chunks());
  CodeRing ring(scratch.rings[warp]);
  fill_table<kKind>(scratch.table);

  int next = begin;
  int known = begin;  // end of the segment whose rows are at hand
  TileRows next_rows{};
  int next_begin = 0;
  const auto fetch = [&] {
    if (next < end) {
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
  for (int i = 0; i < kOnTheWay; ++i) fetch();
  wait_for_previous();
  let_next_begin();

  TileSums<1> total;
  for (int at = begin; at < end;) {
    const auto segment = columns.at(at);
    const bool of_shared = segment.index == problem.top_k;
    const TileRows rows = tile_rows<kKind>(*segment.matrix, segment.number, low, high);
    const float2 scales = row_scales_of<kKind>(*segment.matrix, segment.number, low, high);
    float weight = of_shared ? 1.0F : problem.gate_weights[segment.index];
    if (of_shared && problem.shared_gate != nullptr) weight = space.shared_weight[0];
    const __nv_bfloat16* const x[1] = {
        of_shared ? space.shared_inner : space.inner + int64_t{segment.index} * segment.matrix->k};
    TileSums<1> sums;
    const int segment_end = min(end, segment.end);
    Inputs<kKind, 1> inputs = load_inputs<kKind, 1>(x, rows, at - segment.begin);
#pragma unroll 1
    for (; at < segment_end; ++at) {
      uint4 low_codes;
      uint4 high_codes;
      ring.take(low_codes, high_codes);
      const Inputs<kKind, 1> ahead = load_inputs<kKind, 1>(x, rows, at + 1 - segment.begin);
      multiply_chunk<kKind, 1>(sums, rows, at - segment.begin, low_codes, high_codes, inputs,
                               scratch.table);
      inputs = ahead;
      fetch();
    }
    total.of[0][0] += weight * scales.x * sums.of[0][0];
    total.of[0][2] += weight * scales.y * sums.of[0][2];
  }
  scratch.sums[warp][0][lane] = {total.of[0][0], 0, total.of[0][2], 0};
  __syncthreads();
  if (warp > 0 || lane % 4 != 0) return;
  const float4 sum = sum_of_warps<1>(scratch.sums, 0);
  const auto hidden = static_cast<int>(problem.down.n);
  auto* const residual = static_cast<__nv_bfloat16*>(problem.residual);
  const auto add = [&](int row, float value) {
    if (row >= hidden) return;
    residual[row] = __float2bfloat16_rn(__bfloat162float(residual[row]) + value);
  };
  add(low, sum.x);
  add(high, sum.z);
}

template <typename Kernel>
LaunchShape shape_of(const Kernel& kernel, Tiles& tiles, int64_t groups) {
  const LaunchShape shape =
      tiles_shape(kernel, tiles.shared + groups * tiles.of_group.value, sizeof(BlockScratch<1>));
  tiles.blocks = static_cast<int>(shape.grid.x);
  return shape;
}

template <MatrixCodes kKind>
cudaError_t launch(const ThinExperts& problem, const Workspace& space, cudaStream_t stream) {
  const Sizes sizes = sizes_of(problem);
  const bool single = problem.tokens == 1;
  const int64_t shared_groups =
      sizes.shared_inner > 0 ? num_tiles(problem.tokens, kTokenTile) : int64_t{0};
  const int64_t groups = single ? problem.top_k : sizes.groups;
  cudaError_t error = cudaSuccess;
  if (!single) {
    error = launch_early(plan_kernel, {1, kPlanThreads}, stream, problem.chosen, problem.matrices,
                         space, static_cast<int>(sizes.pairs), static_cast<int>(problem.experts));
    if (error != cudaSuccess) return error;
  }
  const auto tiles_of = [&](int64_t group_tiles, int64_t shared_tiles) {
    return Tiles{.of_shared = Divisor(std::max<int64_t>(1, shared_tiles)),
                 .shared = static_cast<int>(shared_groups * shared_tiles),
                 .of_group = Divisor(group_tiles),
                 .blocks = 0};
  };
  Tiles up =
      tiles_of(num_tiles(sizes.inner, kTileRows / 2), num_tiles(sizes.shared_inner, kTileRows / 2));
  LaunchShape shape = shape_of(up_kernel<kKind>, up, groups);
  if (problem.shared_gate != nullptr) ++shape.grid.x;
  error = launch_early(up_kernel<kKind>, shape, stream, problem, space, up);
  if (error != cudaSuccess) return error;
  const int64_t hidden_tiles = num_tiles(sizes.hidden, kTileRows);
  if (single) {
    constexpr size_t kBytes = sizeof(DownScratch);
    error = cudaFuncSetAttribute(down_one_kernel<kKind>,
                                 cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
    if (error != cudaSuccess) return error;
    return launch_early(down_one_kernel<kKind>,
                        {static_cast<unsigned>(hidden_tiles), 32 * kDownWarps, kBytes}, stream,
                        problem, space);
  }
  Tiles down = tiles_of(hidden_tiles, hidden_tiles);
  shape = shape_of(down_kernel<kKind>, down, groups);
  error = launch_early(down_kernel<kKind>, shape, stream, problem, space, down);
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
  if (problem.tokens < 1 || problem.tokens > kThinRows || problem.experts > kMostThinExperts ||
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
