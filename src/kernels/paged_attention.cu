#include "kernels/paged_attention.h"

#include <algorithm>
#include <type_traits>

#include "kernels/dependent_launch.cuh"
#include "kernels/divisor.cuh"
#include "kernels/vector.cuh"
#include "kernels/workspace.h"

namespace foregate::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kAtOnce = 4;        // keys that a lane meets at once
constexpr int kStages = 2;        // of so many, on the way
constexpr int kLeastTokens = 64;  // of a part
constexpr int kMostParts = 32;
constexpr int64_t kMostBlocks = 264;  // two on each of 132 multiprocessors: one wave
constexpr float kNothing = -1e30F;    // below every score; differences stay numbers

int64_t parts_of(const PagedAttention& problem) {
  const int64_t blocks = std::max<int64_t>(1, problem.queries * problem.kv_heads);
  return std::clamp<int64_t>(kMostBlocks / blocks, 1, kMostParts);
}

// What a part found for a head: its sums are of exp(score - largest).
struct Found {
  float largest;
  float sum;
};

struct Workspace {
  Found* found;  ///< [queries, heads, parts]
  float* mixed;  ///< [queries, heads, parts, D]
};

/// Rows of one key-value head of one sequence.
template <typename T>
struct HeadRows {
  T* keys;
  T* values;
  const int32_t* pages;
  const Divisor& page_tokens;
  int64_t row;  // elements from one token's row to the next

  /// Elements before a token's row.
  __device__ int64_t place(int token) const {
    const int page = page_tokens.divide(token);
    const int64_t first = int64_t{pages[page]} * page_tokens.value;
    return (first + token - page * page_tokens.value) * row;
  }
};

__device__ void copy_early(void* to, const void* from, bool here) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(
                   static_cast<uint32_t>(__cvta_generic_to_shared(to))),
               "l"(from), "r"(here ? 16 : 0)
               : "memory");
}

template <typename T, int kDim>
struct PagedShape {
  static constexpr int kElements = kWideSize<T>;
  static constexpr int kLanes = kDim / kElements;    // that share a key
  static constexpr int kGroups = kThreads / kLanes;  // keys that a block meets at once
};

/// Of a block. A thread takes from its own slots what it has fetched itself.
template <typename T, int kDim, int kQueries>
union PagedScratch {
  struct Slot {
    uint4 key[kThreads];
    uint4 value[kThreads];
  };
  struct Sums {
    Found found[PagedShape<T, kDim>::kGroups][kQueries];
    float mixed[PagedShape<T, kDim>::kGroups][kQueries][kDim];
  };
  Slot slots[kStages][kAtOnce];
  Sums sums;
};

template <typename T, int kDim, int kQueries>
__global__ void __launch_bounds__(kThreads, kQueries < 4 ? 2 : 1)
    paged_kernel(const __grid_constant__ PagedAttention problem,
                 const __grid_constant__ Workspace space, int parts,
                 const __grid_constant__ Divisor page_tokens) {
  constexpr int kElements = PagedShape<T, kDim>::kElements;
  constexpr int kLanes = PagedShape<T, kDim>::kLanes;
  constexpr int kGroups = PagedShape<T, kDim>::kGroups;
  using Wide = Vector<T, kElements>;
  extern __shared__ __align__(16) unsigned char memory[];
  auto& scratch = *reinterpret_cast<PagedScratch<T, kDim, kQueries>*>(memory);
  const int query = static_cast<int>(blockIdx.z);
  const int group_size = static_cast<int>(problem.heads / problem.kv_heads);
  const int chunks = (group_size + kQueries - 1) / kQueries;
  const int kv_head = static_cast<int>(blockIdx.y) / chunks;
  const int first_query = static_cast<int>(blockIdx.y) % chunks * kQueries;
  const int queries = min(kQueries, group_size - first_query);
  const int first_head = kv_head * group_size + first_query;
  if (!problem.is_settled) {
    wait_for_previous();
    let_next_begin();
  }
  const bool own = problem.rows == nullptr;
  const int row = own ? query : problem.rows[query];
  const int sequence = own ? query : problem.sequences[query];
  const int length = problem.lengths[query];
  const int begin = problem.window > 0 ? max(0, length - static_cast<int>(problem.window)) : 0;
  const int seen = length - begin;
  const int part_tokens = max(kLeastTokens, (seen + parts - 1) / parts);
  const int active = max(1, (seen + part_tokens - 1) / part_tokens);
  const int part = static_cast<int>(blockIdx.x);
  if (part >= active) return;
  const int part_begin = begin + part * part_tokens;
  const int part_end = min(length, part_begin + part_tokens);

  const int lane = static_cast<int>(threadIdx.x) % kLanes;
  const int group = static_cast<int>(threadIdx.x) / kLanes;
  const int64_t qkv_size = (problem.heads + 2 * problem.kv_heads) * kDim;
  const T* const qkv = static_cast<const T*>(problem.qkv) + row * qkv_size;
  const T* const own_key = qkv + (problem.heads + kv_head) * kDim + lane * kElements;
  const T* const own_value = own_key + problem.kv_heads * kDim;
  const int64_t in_row = int64_t{kv_head} * kDim + lane * kElements;
  const HeadRows<T> cached{
      static_cast<T*>(problem.keys) + in_row, static_cast<T*>(problem.values) + in_row,
      problem.pages + sequence * problem.most_pages, page_tokens, problem.kv_heads * kDim};
  // The last token of all, whose key and value are not in their place yet.
  const auto is_own = [&](int token) { return own && token == length - 1; };
  const auto fetch = [&](int first, int stage) {
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) {
      const int token = first + u * kGroups + group;
      const bool here = token < part_end && !is_own(token);
      const int64_t place = here ? cached.place(token) : 0;
      auto& slot = scratch.slots[stage][u];
      copy_early(&slot.key[threadIdx.x], cached.keys + place, here);
      copy_early(&slot.value[threadIdx.x], cached.values + place, here);
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  };
#pragma unroll
  for (int stage = 0; stage < kStages; ++stage) {
    fetch(part_begin + stage * kGroups * kAtOnce, stage);
  }
  if (problem.is_settled) {
    wait_for_previous();
    let_next_begin();
  }
  if (own && first_query == 0 && part == active - 1 && group == 0) {
    const int64_t place = cached.place(length - 1);
    *reinterpret_cast<Wide*>(cached.keys + place) = *reinterpret_cast<const Wide*>(own_key);
    *reinterpret_cast<Wide*>(cached.values + place) = *reinterpret_cast<const Wide*>(own_value);
  }

  float q[kQueries][kElements];
  float mixed[kQueries][kElements] = {};
  float largest[kQueries];
  float sum[kQueries] = {};
#pragma unroll
  for (int i = 0; i < kQueries; ++i) {
    largest[i] = kNothing;
    const int head = first_head + min(i, queries - 1);
    const Wide wide = *reinterpret_cast<const Wide*>(qkv + int64_t{head} * kDim + lane * kElements);
#pragma unroll
    for (int e = 0; e < kElements; ++e) q[i][e] = problem.scale * to_float(wide.values[e]);
  }
  int stage = 0;
  for (int first = part_begin; first < part_end; first += kGroups * kAtOnce) {
    Wide key[kAtOnce];
    Wide value[kAtOnce];
    asm volatile("cp.async.wait_group %0;" ::"n"(kStages - 1) : "memory");
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) {
      const auto& slot = scratch.slots[stage][u];
      key[u] = *reinterpret_cast<const Wide*>(&slot.key[threadIdx.x]);
      value[u] = *reinterpret_cast<const Wide*>(&slot.value[threadIdx.x]);
      if (is_own(first + u * kGroups + group)) {
        key[u] = *reinterpret_cast<const Wide*>(own_key);
        value[u] = *reinterpret_cast<const Wide*>(own_value);
      }
    }
    fetch(first + kStages * kGroups * kAtOnce, stage);
    stage = (stage + 1) % kStages;
#pragma unroll
    for (int i = 0; i < kQueries; ++i) {
      float score[kAtOnce];
      float most = largest[i];
#pragma unroll
      for (int u = 0; u < kAtOnce; ++u) {
        float product = 0;
#pragma unroll
        for (int e = 0; e < kElements; ++e) product += q[i][e] * to_float(key[u].values[e]);
#pragma unroll
        for (int width = kLanes / 2; width > 0; width /= 2) {
          product += __shfl_xor_sync(0xffffffffU, product, width);
        }
        score[u] = first + u * kGroups + group < part_end ? product : kNothing;
        most = fmaxf(most, score[u]);
      }
      const float shrink = __expf(largest[i] - most);
      largest[i] = most;
      sum[i] *= shrink;
#pragma unroll
      for (int e = 0; e < kElements; ++e) mixed[i][e] *= shrink;
#pragma unroll
      for (int u = 0; u < kAtOnce; ++u) {
        const float weight = score[u] > kNothing ? __expf(score[u] - most) : 0.0F;
        sum[i] += weight;
#pragma unroll
        for (int e = 0; e < kElements; ++e) mixed[i][e] += weight * to_float(value[u].values[e]);
      }
    }
  }

  // What the groups of lanes found, put together.
  asm volatile("cp.async.wait_group 0;" ::: "memory");
  __syncthreads();
  auto& found = scratch.sums.found;
  auto& sums = scratch.sums.mixed;
#pragma unroll
  for (int i = 0; i < kQueries; ++i) {
    if (lane == 0) found[group][i] = {largest[i], sum[i]};
#pragma unroll
    for (int e = 0; e < kElements; ++e) sums[group][i][lane * kElements + e] = mixed[i][e];
  }
  __syncthreads();
  const auto finish = [&](int head, int d, Found all, float value) {
    if (problem.sinks != nullptr) {
      const float sink = problem.sinks[head];
      const float most = fmaxf(all.largest, sink);
      const float shrink = __expf(all.largest - most);
      all.sum = all.sum * shrink + __expf(sink - most);
      value *= shrink;
    }
    static_cast<T*>(problem.out)[(row * problem.heads + head) * kDim + d] =
        from_float<T>(value / all.sum);
  };
  for (int at = static_cast<int>(threadIdx.x); at < queries * kDim; at += kThreads) {
    const int i = at / kDim;
    const int d = at % kDim;
    Found all{kNothing, 0};
    for (int g = 0; g < kGroups; ++g) all.largest = fmaxf(all.largest, found[g][i].largest);
    float value = 0;
    for (int g = 0; g < kGroups; ++g) {
      const float shrink = __expf(found[g][i].largest - all.largest);
      all.sum += shrink * found[g][i].sum;
      value += shrink * sums[g][i][d];
    }
    const int head = first_head + i;
    if (active == 1) {
      finish(head, d, all, value);
      continue;
    }
    const int64_t place = (int64_t{query} * problem.heads + head) * parts + part;
    space.mixed[place * kDim + d] = value;
    if (d == 0) space.found[place] = all;
  }
  if (active == 1) return;

  // The last part that comes puts all of them together.
  __shared__ bool last;
  __threadfence();
  __syncthreads();
  if (threadIdx.x == 0) {
    int32_t* const arrived =
        problem.arrived + int64_t{query} * gridDim.y + static_cast<int>(blockIdx.y);
    last = atomicAdd(arrived, 1) == active - 1;
    if (last) *arrived = 0;
  }
  __syncthreads();
  if (!last) return;
  __threadfence();
  for (int at = static_cast<int>(threadIdx.x); at < queries * kDim; at += kThreads) {
    const int head = first_head + at / kDim;
    const int d = at % kDim;
    const int64_t place = (int64_t{query} * problem.heads + head) * parts;
    Found all{kNothing, 0};
#pragma unroll 8
    for (int p = 0; p < active; ++p) {
      all.largest = fmaxf(all.largest, __ldcg(&space.found[place + p].largest));
    }
    float value = 0;
#pragma unroll 8
    for (int p = 0; p < active; ++p) {
      const float shrink = __expf(__ldcg(&space.found[place + p].largest) - all.largest);
      all.sum += shrink * __ldcg(&space.found[place + p].sum);
      value += shrink * __ldcg(&space.mixed[(place + p) * kDim + d]);
    }
    finish(head, d, all, value);
  }
}

Workspace lay_out(WorkspaceParts& parts, const PagedAttention& problem) {
  const int64_t found = problem.queries * problem.heads * parts_of(problem);
  Workspace space{};
  space.found = parts.take<Found>(found);
  space.mixed = parts.take<float>(found * problem.head_dim);
  return space;
}

template <typename T, int kDim, int kQueries>
cudaError_t launch(const PagedAttention& problem, cudaStream_t stream) {
  const int64_t group = problem.heads / problem.kv_heads;
  const int64_t parts = parts_of(problem);
  WorkspaceParts memory(problem.workspace);
  const dim3 grid(static_cast<unsigned>(parts),
                  static_cast<unsigned>(problem.kv_heads * ((group + kQueries - 1) / kQueries)),
                  static_cast<unsigned>(problem.queries));
  const auto kernel = paged_kernel<T, kDim, kQueries>;
  constexpr int kBytes = static_cast<int>(sizeof(PagedScratch<T, kDim, kQueries>));
  const cudaError_t error =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  if (error != cudaSuccess) return error;
  return launch_early(kernel, {grid, kThreads, kBytes}, stream, problem, lay_out(memory, problem),
                      static_cast<int>(parts), Divisor(problem.page_tokens));
}

template <typename T, int kDim>
cudaError_t launch_dim(const PagedAttention& problem, cudaStream_t stream) {
  const int64_t group = problem.heads / problem.kv_heads;
  if (group == 1) return launch<T, kDim, 1>(problem, stream);
  if (group == 2) return launch<T, kDim, 2>(problem, stream);
  return launch<T, kDim, 4>(problem, stream);
}

}  // namespace

bool can_run(const PagedAttention& problem, DType dtype) {
  const int64_t d = problem.head_dim;
  return d == 64 || d == 128 || (d == 256 && dtype != DType::kFloat32);
}

int64_t paged_attention_workspace(const PagedAttention& problem) {
  WorkspaceParts parts(nullptr);
  lay_out(parts, problem);
  return parts.bytes();
}

cudaError_t paged_attention(const PagedAttention& problem, DType dtype, cudaStream_t stream) {
  if (!can_run(problem, dtype)) return cudaErrorInvalidValue;
  if (problem.queries == 0) return cudaSuccess;
  return with_type(dtype, [&](auto type) {
    using T = std::remove_pointer_t<decltype(type)>;
    if (problem.head_dim == 64) return launch_dim<T, 64>(problem, stream);
    if (problem.head_dim == 128) return launch_dim<T, 128>(problem, stream);
    if constexpr (sizeof(T) == 2) return launch_dim<T, 256>(problem, stream);
    return cudaErrorInvalidValue;
  });
}

}  // namespace foregate::kernels
