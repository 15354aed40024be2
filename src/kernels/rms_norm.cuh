#pragma once

#include "kernels/vector.cuh"

namespace foregate::kernels {

/// Threads that normalise a row: the first of a block.
inline constexpr int kNormThreads = 256;

/// Memory of a block that normalises a row.
using NormSums = float[kNormThreads / 32];

/// Normalises a row by all threads of a block, in packs of kSize:
/// out[p] = weight[p] * round(x[p] * what makes its mean square one). It is the first kNormThreads
/// that work, so that a row has the same bits whichever kernel normalises it.
template <typename T, int kSize>
class RowNorm {
 public:
  /// Fetches the weights, which do not change: before x is there.
  __device__ RowNorm(const T* weight, int hidden)
      : scale_(reinterpret_cast<const Pack*>(weight)), hidden_(hidden), packs_(hidden / kSize) {
    for_kept([&](int i, int p) { weights_[i] = scale_[p]; });
  }
  __device__ void run(const T* x, T* out, float epsilon, NormSums& sums) const {
    const auto* row = reinterpret_cast<const Pack*>(x);
    auto* result = reinterpret_cast<Pack*>(out);
    Pack kept[kKept];
    float sum = 0;
    const auto add = [&](const Pack& pack) {
      for (int i = 0; i < kSize; ++i) sum += to_float(pack.values[i]) * to_float(pack.values[i]);
    };
    if (works()) {
      for_kept([&](int i, int p) { add(kept[i] = row[p]); });
      for_others([&](int p) { add(row[p]); });
      sum = warp_sum(sum);
      if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = sum;
    }
    __syncthreads();
    if (!works()) return;
    float total = 0;
    for (const float of_warp : sums) total += of_warp;
    const float factor = rsqrtf(total / static_cast<float>(hidden_) + epsilon);
    const auto write = [&](Pack pack, const Pack& weights, int p) {
      for (int i = 0; i < kSize; ++i) {
        const T normed = from_float<T>(to_float(pack.values[i]) * factor);
        pack.values[i] = from_float<T>(to_float(weights.values[i]) * to_float(normed));
      }
      result[p] = pack;
    };
    for_kept([&](int i, int p) { write(kept[i], weights_[i], p); });
    for_others([&](int p) { write(row[p], scale_[p], p); });
  }

 private:
  using Pack = Vector<T, kSize>;
  // Packs of a row that a thread keeps: 2 x 256 x 8 covers hidden 4096 in 16 bits; what is longer
  // is read again.
  static constexpr int kKept = 2;

  __device__ static bool works() { return threadIdx.x < kNormThreads; }
  template <typename Work>
  __device__ void for_kept(const Work& work) const {
#pragma unroll
    for (int i = 0; i < kKept; ++i) {
      const int p = static_cast<int>(threadIdx.x) + i * kNormThreads;
      if (works() && p < packs_) work(i, p);
    }
  }
  template <typename Work>
  __device__ void for_others(const Work& work) const {
    for (int p = static_cast<int>(threadIdx.x) + kKept * kNormThreads; p < packs_;
         p += kNormThreads) {
      work(p);
    }
  }

  const Pack* scale_;
  int hidden_;
  int packs_;
  Pack weights_[kKept];
};

}  // namespace foregate::kernels
