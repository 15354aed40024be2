#include <cuda.h>

#include "kernels/gemm/gemm_tiles.cuh"
#include "kernels/gemm/grouped_gemm.h"
#include "kernels/gemm/hopper.cuh"
#include "kernels/gemm/rotated_rows.cuh"

// A block keeps a tile of 128 x 256 sums in the registers of two warpgroups; a third brings the
// operands, some stages ahead: one of its threads through the copy engine, all of them where rows
// of x lie apart, which the copy engine cannot. Two blocks form a cluster, one
// tile above the other: each fetches half of the weights that both need. Blocks stay and take one
// tile after another, so that copies for the next tile run during the end of the last.

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ == 900 && !defined(__CUDA_ARCH_FEAT_SM90_ALL)
#error "Hopper's matrix instructions need sm_90a: set CMAKE_CUDA_ARCHITECTURES to 90a-real, not 90"
#endif

namespace foregate::kernels {
namespace {

constexpr int kHalf = 128;      // weight rows of each half of a tile
constexpr int kDepth = 64;      // of a stage: 128 bytes, as wide as the swizzle
constexpr int kGroupRows = 64;  // of a warpgroup
constexpr int kConsumers = 2;   // warpgroups that multiply
constexpr int kRows = kConsumers * kGroupRows;
constexpr int kCluster = 2;
constexpr int kStages = 4;
constexpr int kThreads = (1 + kConsumers) * 128;
[[maybe_unused]] constexpr int kPack = 8;  // values of one 16-byte copy
static_assert(kHalf == kRotatedHeadSize);
[[maybe_unused]] constexpr int kWeightBytes =
    2 * kHalf * kDepth * static_cast<int>(sizeof(__nv_bfloat16));

// What becomes of the sums.
enum class Epilogue { kStore, kSiluProduct, kRotate };

struct Stage {
  __nv_bfloat16 x[kRows * kDepth];
  __nv_bfloat16 weight[2 * kHalf * kDepth];
};

// Stages are filled and emptied in turn.
struct Memory {
  Stage stages[kStages];
  uint64_t full[kStages];
  uint64_t empty[kStages];
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)

// Which stage is next, and how often all have been used.
struct Turn {
  int stage = 0;
  uint32_t parity = 0;
  __device__ void next() {
    if (++stage == kStages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

template <Epilogue kEpilogue>
using Walk = TileWalk<kRows * kCluster, kHalf, kEpilogue == Epilogue::kSiluProduct>;

// A thread's share of the rows that a tile gathers: one pack of every 16th row. In shared memory
// they are swizzled as the copy engine does it: a row's packs change places by row % 8.
class Gatherer {
 public:
  __device__ explicit Gatherer(const GemmArguments& arguments)
      : arguments_(arguments), depth_packs_(arguments.k / kPack) {}

  __device__ void start_tile(int row, int end) {
#pragma unroll
    for (int i = 0; i < kPasses; ++i) {
      // Behind the group's end any row will do; its sums are not written.
      const int from = min(row + first_ + i * kPassRows, end - 1);
      row_packs_[i] =
          static_cast<uint32_t>(arguments_.x_rows[from]) * static_cast<uint32_t>(depth_packs_);
    }
  }

  __device__ void copy(Stage& stage, int k) const {
    const int column = k / kPack + pack_;
    const bool inside = column < depth_packs_;
    __nv_bfloat16* target = stage.x + first_ * kDepth + (pack_ ^ first_ % 8) * kPack;
#pragma unroll
    for (int i = 0; i < kPasses; ++i) {
      const int64_t source = row_packs_[i] + static_cast<uint32_t>(inside ? column : 0);
      hopper::copy_16(target + i * kPassRows * kDepth, arguments_.x + source * kPack, inside);
    }
  }

 private:
  static constexpr int kRowPacks = kDepth / kPack;
  static constexpr int kPassRows = 128 / kRowPacks;
  static constexpr int kPasses = kRows / kPassRows;
  static_assert(kPassRows % 8 == 0);

  const GemmArguments& arguments_;
  int depth_packs_;
  int pack_ = static_cast<int>(threadIdx.x) % kRowPacks;
  int first_ = static_cast<int>(threadIdx.x) / kRowPacks;
  uint32_t row_packs_[kPasses];
};

template <Epilogue kEpilogue, bool kGather>
__device__ void produce(Memory& memory, const CUtensorMap& x, const CUtensorMap& weight,
                        const GemmArguments& arguments, int rank) {
  const bool leads = threadIdx.x == 0;
  if (!kGather && !leads) return;
  Gatherer gatherer(arguments);
  Walk<kEpilogue> walk(arguments);
  GemmTile tile;
  Turn turn;
  const int clusters = static_cast<int>(gridDim.x) / kCluster;
  for (int i = static_cast<int>(blockIdx.x) / kCluster; walk.find(i, tile); i += clusters) {
    // Each of the two blocks brings one half of the weights to both.
    const int weight_row = tile.matrix * arguments.n + (rank == 0 ? tile.weight_a : tile.weight_b);
    if constexpr (kGather) gatherer.start_tile(tile.row + rank * kRows, tile.end);
    for (int k = 0; k < arguments.k; k += kDepth) {
      hopper::barrier_wait(&memory.empty[turn.stage], turn.parity ^ 1);
      Stage& stage = memory.stages[turn.stage];
      uint64_t* full = &memory.full[turn.stage];
      if (leads) {
        hopper::barrier_expect(full, kGather ? kWeightBytes : sizeof(Stage));
        if constexpr (!kGather) hopper::copy_box(stage.x, x, full, k, tile.row + rank * kRows);
        hopper::copy_box_to(0b11, stage.weight + rank * kHalf * kDepth, weight, full, k,
                            weight_row);
      }
      if constexpr (kGather) {
        gatherer.copy(stage, k);
        hopper::barrier_arrive_after_copies(full);
      }
      turn.next();
    }
  }
}

// Tells both blocks that this warp has read a stage to its end.
__device__ void release(uint64_t* empty) {
  if (threadIdx.x % 32 < kCluster) hopper::barrier_arrive(empty, threadIdx.x % 32);
}

// One step of 16 is 32 bytes further along the rows.
__device__ void multiply(float (&sum)[128], const Stage& stage, int consumer, bool add) {
  const uint64_t x = hopper::swizzled_matrix(stage.x + consumer * kGroupRows * kDepth);
  const uint64_t weight = hopper::swizzled_matrix(stage.weight);
#pragma unroll
  for (int step = 0; step < kDepth / 16; ++step) {
    hopper::product_64x256x16(sum, x + step * 2, weight + step * 2, add || step > 0);
  }
}

template <Epilogue kEpilogue, bool kGather>
__device__ void consume(Memory& memory, const GemmArguments& arguments, int rank, int consumer) {
  Walk<kEpilogue> walk(arguments);
  GemmTile tile;
  Turn turn;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32 % 4;
  const int clusters = static_cast<int>(gridDim.x) / kCluster;
  float sum[128];
  for (int i = static_cast<int>(blockIdx.x) / kCluster; walk.find(i, tile); i += clusters) {
    const int row = tile.row + rank * kRows + consumer * kGroupRows;
    const bool active = row < tile.end;
    uint64_t* last = nullptr;
    for (int k = 0; k < arguments.k; k += kDepth) {
      hopper::barrier_wait(&memory.full[turn.stage], turn.parity);
      if (active) {
        if constexpr (kGather) hopper::fence_for_products();
        hopper::products_begin();
        multiply(sum, memory.stages[turn.stage], consumer, k > 0);
        hopper::products_commit();
        // The stage before is read to its end; this one goes on.
        hopper::products_wait<1>();
      }
      if (last != nullptr) release(last);
      last = &memory.empty[turn.stage];
      turn.next();
    }
    hopper::products_wait<0>();
    release(last);
    if (!active) continue;
    hopper::hold(sum);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int own_row = row + warp * 16 + half * 8 + lane / 4;
      const auto pair = [&](int side, int block) {
        const int first = 4 * (side * kHalf / 8 + block) + 2 * half;
        return make_float2(sum[first], sum[first + 1]);
      };
      if constexpr (kEpilogue == Epilogue::kRotate) {
        store_rotated_row(arguments, own_row, tile.end, tile.column, pair);
      } else {
        store_row<kHalf / 8, kEpilogue == Epilogue::kSiluProduct>(
            arguments, own_row, tile.end, tile.column, tile.column + kHalf, walk.outputs(), pair);
      }
    }
  }
}

#endif

template <Epilogue kEpilogue, bool kGather>
__global__ void __launch_bounds__(kThreads, 1)
    grouped_gemm_kernel(const __grid_constant__ CUtensorMap x,
                        const __grid_constant__ CUtensorMap weight,
                        const __grid_constant__ GemmArguments arguments) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  extern __shared__ __align__(1024) unsigned char bytes[];
  auto& memory = *reinterpret_cast<Memory*>(bytes);
  const auto rank = static_cast<int>(hopper::cluster_rank());
  if (threadIdx.x == 0) {
    for (int i = 0; i < kStages; ++i) {
      hopper::barrier_init(&memory.full[i], kGather ? 1 + 128 : 1);
      hopper::barrier_init(&memory.empty[i], kCluster * kConsumers * 4);
    }
    hopper::barrier_init_fence();
  }
  hopper::cluster_sync();
  // Of 64 Ki registers a consumer's thread takes 128 for its sums alone.
  const int group = static_cast<int>(threadIdx.x) / 128;
  if (group == 0) {
    hopper::give_registers<40>();
    produce<kEpilogue, kGather>(memory, x, weight, arguments, rank);
  } else {
    hopper::take_registers<232>();
    consume<kEpilogue, kGather>(memory, arguments, rank, group - 1);
  }
  // Nobody leaves while the other block may still write here.
  hopper::cluster_sync();
#endif
}

// A row-major matrix of bfloat16 in boxes of kDepth columns; what lies outside reads as zero.
cudaError_t describe(CUtensorMap& map, const void* matrix, int64_t rows, int64_t columns) {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found{};
  const cudaError_t error = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function,
                                                             12000, cudaEnableDefault, &found);
  if (error != cudaSuccess) return error;
  if (found != cudaDriverEntryPointSuccess) return cudaErrorInsufficientDriver;
  static_assert(kRows == kHalf);
  const cuuint64_t sizes[] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows)};
  const cuuint64_t strides[] = {static_cast<cuuint64_t>(columns) * sizeof(__nv_bfloat16)};
  const cuuint32_t box[] = {kDepth, kRows};
  const cuuint32_t steps[] = {1, 1};
  const CUresult result = reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(function)(
      &map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, const_cast<void*>(matrix), sizes, strides, box,
      steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
      CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return result == CUDA_SUCCESS ? cudaSuccess : cudaErrorInvalidValue;
}

template <Epilogue kEpilogue, bool kGather>
cudaError_t launch(const GroupedGemm& problem, cudaStream_t stream) {
  CUtensorMap x;
  CUtensorMap weight;
  // Rows that are gathered need no map; that of the weights is as good as any.
  cudaError_t error = kGather ? describe(x, problem.weight, problem.n, problem.k)
                              : describe(x, problem.x, problem.rows, problem.k);
  if (error != cudaSuccess) return error;
  error = describe(weight, problem.weight, num_matrices(problem) * problem.n, problem.k);
  if (error != cudaSuccess) return error;
  int device = 0;
  int processors = 0;
  if ((error = cudaGetDevice(&device)) != cudaSuccess) return error;
  error = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  if (error != cudaSuccess) return error;
  const auto kernel = grouped_gemm_kernel<kEpilogue, kGather>;
  constexpr int kBytes = static_cast<int>(sizeof(Memory));
  error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  if (error != cudaSuccess) return error;
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {kCluster, 1, 1};
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(processors / kCluster * kCluster));
  config.blockDim = dim3(kThreads);
  config.dynamicSmemBytes = kBytes;
  config.stream = stream;
  config.attrs = &cluster;
  config.numAttrs = 1;
  return cudaLaunchKernelEx(&config, kernel, x, weight, gemm_arguments(problem));
}

}  // namespace

cudaError_t grouped_gemm_sm90(const GroupedGemm& problem, cudaStream_t stream) {
  if (problem.rotation.positions != nullptr) {
    return launch<Epilogue::kRotate, false>(problem, stream);
  }
  if (problem.x_rows != nullptr) {
    return problem.silu_product ? launch<Epilogue::kSiluProduct, true>(problem, stream)
                                : launch<Epilogue::kStore, true>(problem, stream);
  }
  return problem.silu_product ? launch<Epilogue::kSiluProduct, false>(problem, stream)
                              : launch<Epilogue::kStore, false>(problem, stream);
}

}  // namespace foregate::kernels
