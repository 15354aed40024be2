#include "kernels/paged_attention.h"

#include <algorithm>
#include <type_traits>

#include "kernels/dependent_launch.cuh"
#include "kernels/vector.cuh"
#include "kernels/workspace.h"

namespace foregate::kernels {
namespace {

constexpr int kThreads = 256;
constexpr int kAtOnce = 4;        // keys that a lane has on the way
constexpr int kLeastTokens = 64;  // of a part
constexpr int kMostParts = 32;
constexpr int64_t kBlocksWanted = 264;  // two on each of 132 multiprocessors
constexpr float kNothing = -1e30F;      // below every score; differences stay numbers

int64_t parts_of(const PagedAttention& problem) {
  const int64_t blocks = std::max<int64_t>(1, problem.queries * problem.kv_heads);
  return std::clamp<int64_t>((kBlocksWanted + blocks - 1) / blocks, 1, kMostParts);
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
  T* first;
  const int32_t* pages;
  int page_tokens;
  int64_t row;  // elements from one token's row to the next
  __device__ T* of(int token) const {
    const int64_t page = pages[token / page_tokens];
    return first + (page * page_tokens + token % page_tokens) * row;
  }
};

template <typename T, int kDim, int kQueries>
__global__ void __launch_bounds__(kThreads)
    paged_kernel(const PagedAttention problem, const Workspace space, int parts) {
  constexpr int kElements = kWideSize<T>;
  constexpr int kLanes = kDim / kElements;    // that share a key
  constexpr int kGroups = kThreads / kLanes;  // keys that a block meets at once
  using Wide = Vector<T, kElements>;
  const int query = static_cast<int>(blockIdx.z);
  const int group_size = static_cast<int>(problem.heads / problem.kv_heads);
  const int chunks = (group_size + kQueries - 1) / kQueries;
  const int kv_head = static_cast<int>(blockIdx.y) / chunks;
  const int first_query = static_cast<int>(blockIdx.y) % chunks * kQueries;
  const int queries = min(kQueries, group_size - first_query);
  const int first_head = kv_head * group_size + first_query;
  wait_for_previous();
  let_next_begin();
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
  const T* const own_key = qkv + (problem.heads + kv_head) * kDim;
  const T* const own_value = own_key + problem.kv_heads * kDim;
  const int32_t* const pages = problem.pages + sequence * problem.most_pages;
  const HeadRows<T> keys{static_cast<T*>(problem.keys) + int64_t{kv_head} * kDim, pages,
                         static_cast<int>(problem.page_tokens), problem.kv_heads * kDim};
  const HeadRows<T> values{static_cast<T*>(problem.values) + int64_t{kv_head} * kDim, pages,
                           static_cast<int>(problem.page_tokens), problem.kv_heads * kDim};
  if (own && first_query == 0 && part == active - 1 && group == 0) {
    *reinterpret_cast<Wide*>(keys.of(length - 1) + lane * kElements) =
        *reinterpret_cast<const Wide*>(own_key + lane * kElements);
    *reinterpret_cast<Wide*>(values.of(length - 1) + lane * kElements) =
        *reinterpret_cast<const Wide*>(own_value + lane * kElements);
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
  for (int first = part_begin; first < part_end; first += kGroups * kAtOnce) {
    Wide key[kAtOnce];
    Wide value[kAtOnce];
#pragma unroll
    for (int u = 0; u < kAtOnce; ++u) {
      const int token = first + u * kGroups + group;
      key[u] = {};
      value[u] = {};
      if (token >= part_end) continue;
      const bool new_one = own && token == length - 1;
      const T* const key_row = new_one ? own_key : keys.of(token);
      const T* const value_row = new_one ? own_value : values.of(token);
      key[u] = *reinterpret_cast<const Wide*>(key_row + lane * kElements);
      value[u] = *reinterpret_cast<const Wide*>(value_row + lane * kElements);
    }
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
  __shared__ Found found[kGroups][kQueries];
  __shared__ float sums[kGroups][kQueries][kDim];
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
  return launch_early(paged_kernel<T, kDim, kQueries>, {grid, kThreads}, stream, problem,
                      lay_out(memory, problem), static_cast<int>(parts));
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
