#include "kernels/gemm/ampere.cuh"
#include "kernels/gemm/gemm_tiles.cuh"
#include "kernels/gemm/grouped_gemm.h"

// For Ampere and Ada: operands come to shared memory by asynchronous copies, some stages ahead,
// from there to registers one step ahead, and go to the tensor cores by mma.sync. A block goes from
// tile to tile without a break: while it writes one tile, the first stages of the next arrive.

namespace foregate::kernels {
namespace {

constexpr int kRows = 128;
constexpr int kHalf = 128;  // weight rows of each half of a tile
constexpr int kThreads = 256;
constexpr int kDepth = 32;  // of a stage
constexpr int kSteps = kDepth / 16;
constexpr int kStages = 4;  // 96 KB: consumer cards give a block 99
constexpr int kPack = 8;    // values of one 16-byte copy
constexpr int kRowPacks = kDepth / kPack;
// Sums of a warp: 64 rows by 32 columns of either half.
constexpr int kWarpRows = 64;
constexpr int kWarpColumns = 32;
constexpr int kRowWarps = kRows / kWarpRows;
static_assert(kRowWarps * (kHalf / kWarpColumns) * 32 == kThreads);

struct Stage {
  __nv_bfloat16 x[kRows * kDepth];
  __nv_bfloat16 weight[2 * kHalf * kDepth];
};

// Where the 16 bytes `pack` of `row` lie: two rows fill the 32 banks, and the order of packs
// changes from pair to pair, so that 8 rows at one pack meet no bank twice.
__device__ int offset_of(int row, int pack) {
  return (row * kRowPacks + (pack ^ (row / 2 % kRowPacks))) * kPack;
}

// The copies of one tile. Every thread brings one pack of each of the passes' rows.
class Loader {
 public:
  __device__ void point_to(const GemmArguments& arguments, const __nv_bfloat16* x,
                           const __nv_bfloat16* weight, const GemmTile& tile) {
    const int row = first_row();
    rows_left_ = tile.end - tile.row - row;
    x_ = x + int64_t{tile.row + row} * arguments.k + pack() * kPack;
    const int columns[2] = {tile.weight_a + row, tile.weight_b + row};
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      columns_left_[half] = arguments.n - columns[half];
      weight_[half] = weight + (int64_t{tile.matrix} * arguments.n + columns[half]) * arguments.k +
                      pack() * kPack;
    }
  }

  __device__ void start(Stage& stage, int k, int depth) const {
    const bool inside = k + pack() * kPack < depth;
#pragma unroll
    for (int rows = 0; rows < kRows; rows += kPassRows) {
      const bool present = inside && rows < rows_left_;
      ampere::copy_16(stage.x + offset_of(first_row() + rows, pack()),
                      x_ + (present ? int64_t{rows} * depth + k : 0), present);
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int rows = 0; rows < kHalf; rows += kPassRows) {
        const bool present = inside && rows < columns_left_[half];
        ampere::copy_16(stage.weight + offset_of(half * kHalf + first_row() + rows, pack()),
                        weight_[half] + (present ? int64_t{rows} * depth + k : 0), present);
      }
    }
  }

 private:
  static constexpr int kPassRows = kThreads / kRowPacks;
  static_assert(kRows % kPassRows == 0 && kHalf % kPassRows == 0);

  __device__ static int pack() {
    return static_cast<int>(threadIdx.x) % kRowPacks;
  }
  __device__ static int first_row() {
    return static_cast<int>(threadIdx.x) / kRowPacks;
  }

  int rows_left_;
  int columns_left_[2];
  const __nv_bfloat16* x_;
  const __nv_bfloat16* weight_[2];
};

constexpr int kRowBlocks = kWarpRows / 16;
constexpr int kColumnBlocks = 2 * kWarpColumns / 8;

// [16 rows][8 columns; those of the second half behind those of the first].
using Sums = float[kRowBlocks][kColumnBlocks][4];

// What one step of 16 multiplies.
struct Operands {
  uint32_t x[kRowBlocks][4];
  uint32_t weight[kColumnBlocks / 2][4];

  __device__ void load(const Stage& stage, int step, int first_row, int first_column) {
    const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
    for (int i = 0; i < kRowBlocks; ++i) {
      // Lanes 0 to 15 point to the rows' first 8 columns, the others to the next 8.
      const int place = offset_of(first_row + i * 16 + lane % 16, step * 2 + lane / 16);
      ampere::load_matrices(x[i], ampere::shared_address(stage.x + place));
    }
#pragma unroll
    for (int j = 0; j < kColumnBlocks / 2; ++j) {
      // Two blocks of 8 columns, each in two halves of the step.
      const int half = j / (kWarpColumns / 16) * kHalf;
      const int column = half + first_column + j % (kWarpColumns / 16) * 16 + lane / 16 * 8;
      const int place = offset_of(column + lane % 8, step * 2 + lane / 8 % 2);
      ampere::load_matrices(weight[j], ampere::shared_address(stage.weight + place));
    }
  }

  __device__ void multiply(Sums& sums) const {
#pragma unroll
    for (int i = 0; i < kRowBlocks; ++i) {
#pragma unroll
      for (int j = 0; j < kColumnBlocks; ++j) {
        ampere::multiply_add<__nv_bfloat16>(sums[i][j], x[i], weight[j / 2][j % 2 * 2],
                                            weight[j / 2][j % 2 * 2 + 1]);
      }
    }
  }
};

// The order in which a block's operands arrive: stage after stage, tile after tile.
template <bool kSilu>
class Arrivals {
 public:
  __device__ Arrivals(const GemmArguments& arguments, const __nv_bfloat16* x,
                      const __nv_bfloat16* weight)
      : arguments_(arguments), x_(x), weight_(weight), walk_(arguments) {
    find_tile();
  }

  __device__ void start_next(Stage& stage) {
    if (there_) {
      loader_.start(stage, k_, arguments_.k);
      k_ += kDepth;
      if (k_ >= arguments_.k) {
        k_ = 0;
        index_ += static_cast<int>(gridDim.x);
        find_tile();
      }
    }
    ampere::commit_copies();
  }

 private:
  __device__ void find_tile() {
    GemmTile tile;
    there_ = walk_.find(index_, tile);
    if (there_) loader_.point_to(arguments_, x_, weight_, tile);
  }

  const GemmArguments& arguments_;
  const __nv_bfloat16* x_;
  const __nv_bfloat16* weight_;
  TileWalk<kRows, kHalf, kSilu> walk_;
  Loader loader_;
  int index_ = static_cast<int>(blockIdx.x);
  int k_ = 0;
  bool there_ = false;
};

template <bool kSilu>
__global__ void __launch_bounds__(kThreads, 1)
    grouped_gemm_kernel(const __nv_bfloat16* __restrict__ x,
                        const __nv_bfloat16* __restrict__ weight,
                        const __grid_constant__ GemmArguments arguments) {
  extern __shared__ __align__(128) unsigned char bytes[];
  auto* stages = reinterpret_cast<Stage*>(bytes);
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int first_row = warp % kRowWarps * kWarpRows;
  const int first_column = warp / kRowWarps * kWarpColumns;
  Arrivals<kSilu> arrivals(arguments, x, weight);
  int slot = 0;
  for (; slot < kStages - 1; ++slot) arrivals.start_next(stages[slot]);
  Operands operands[2];
  ampere::wait_for_copies<kStages - 2>();
  __syncthreads();
  operands[0].load(stages[0], 0, first_row, first_column);
  int now = 0;  // the slot that is computed; `slot` is the one to fill next
  TileWalk<kRows, kHalf, kSilu> walk(arguments);
  GemmTile tile;
  for (int index = static_cast<int>(blockIdx.x); walk.find(index, tile);
       index += static_cast<int>(gridDim.x)) {
    Sums sums = {};
    for (int k = 0; k < arguments.k; k += kDepth) {
      const int next = now + 1 == kStages ? 0 : now + 1;
#pragma unroll
      for (int step = 0; step < kSteps; ++step) {
        if (step == 0) {
          arrivals.start_next(stages[slot]);
          slot = now;
        }
        if (step == kSteps - 1) {
          ampere::wait_for_copies<kStages - 2>();
          __syncthreads();
        }
        // Behind the last stage of all this reads what no product uses.
        operands[(step + 1) % 2].load(stages[step + 1 < kSteps ? now : next], (step + 1) % kSteps,
                                      first_row, first_column);
        operands[step % 2].multiply(sums);
      }
      now = next;
    }
#pragma unroll
    for (int i = 0; i < kRowBlocks; ++i) {
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        store_row<kWarpColumns / 8, kSilu>(
            arguments, tile.row + first_row + i * 16 + half * 8 + lane / 4, tile.end,
            tile.column + first_column, tile.column + kHalf + first_column, walk.outputs(),
            [&](int side, int block) {
              const auto& values = sums[i][side * kColumnBlocks / 2 + block];
              return make_float2(values[2 * half], values[2 * half + 1]);
            });
      }
    }
  }
  ampere::wait_for_copies<0>();
}

template <bool kSilu>
cudaError_t launch(const GroupedGemm& problem, int processors, cudaStream_t stream) {
  const auto kernel = grouped_gemm_kernel<kSilu>;
  constexpr int kBytes = kStages * static_cast<int>(sizeof(Stage));
  const cudaError_t error =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  if (error != cudaSuccess) return error;
  kernel<<<static_cast<unsigned>(processors), kThreads, kBytes, stream>>>(
      static_cast<const __nv_bfloat16*>(problem.x),
      static_cast<const __nv_bfloat16*>(problem.weight), gemm_arguments(problem));
  return cudaGetLastError();
}

}  // namespace

cudaError_t grouped_gemm_sm80(const GroupedGemm& problem, cudaStream_t stream) {
  if (problem.x_rows != nullptr || problem.rotation.positions != nullptr) {
    return cudaErrorNotSupported;
  }
  int device = 0;
  int processors = 0;
  cudaError_t error = cudaGetDevice(&device);
  if (error != cudaSuccess) return error;
  error = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  if (error != cudaSuccess) return error;
  return problem.silu_product ? launch<true>(problem, processors, stream)
                              : launch<false>(problem, processors, stream);
}

}  // namespace foregate::kernels
