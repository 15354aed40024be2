// Checks and times the grouped products alone, without torch:
//   foregate_bench_grouped_gemm [TOKENS]
// The checks compare with a plain kernel over sizes, ragged and empty groups. The shapes timed are
// those of one Qwen1.5-MoE-A2.7B layer, and a large one. Built with FOREGATE_CUTLASS_DIR, CUTLASS's
// products by mma.sync stand beside those of one group without silu. The last line is the rate of
// mma.sync from registers alone: what the card's tensor cores give to a kernel of before Hopper.

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <thread>
#include <vector>

#include "device_buffer.h"
#include "kernels/gemm/grouped_gemm.h"

#ifdef FOREGATE_CUTLASS
template <int kRows, int kColumns, int kDepth, int kStages>
cudaError_t cutlass_gemm(const foregate::kernels::GroupedGemm& problem, cudaStream_t stream);
#endif

namespace {

using foregate::kernels::GroupedGemm;
using Value = __nv_bfloat16;

__device__ float uniform(uint64_t state) {
  state = (state ^ (state >> 30)) * 0xbf58476d1ce4e5b9ULL;
  state = (state ^ (state >> 27)) * 0x94d049bb133111ebULL;
  return static_cast<float>((state ^ (state >> 31)) >> 40) * 0x1p-24F;
}

__global__ void fill_normal(Value* values, int64_t count, float deviation, uint64_t seed) {
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count;
       i += int64_t{gridDim.x} * blockDim.x) {
    const uint64_t state = (seed << 40) + i * 2 * 0x9e3779b97f4a7c15ULL;
    const float radius = sqrtf(-2 * logf(uniform(state) + 1e-7F));
    values[i] =
        __float2bfloat16(deviation * radius * cospif(2 * uniform(state + 0x9e3779b97f4a7c15ULL)));
  }
}

// One output a thread.
__global__ void reference(const Value* x, const Value* weight, const int32_t* group_of_row,
                          const float* row_scale, float* out, int rows, int n, int k, bool silu) {
  const int outputs = silu ? n / 2 : n;
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= int64_t{rows} * outputs) return;
  const int row = static_cast<int>(i / outputs);
  const int column = static_cast<int>(i % outputs);
  const auto dot = [&](int weight_row) {
    const Value* w = weight + (int64_t{group_of_row[row]} * n + weight_row) * k;
    float sum = 0;
    for (int j = 0; j < k; ++j)
      sum += __bfloat162float(x[int64_t{row} * k + j]) * __bfloat162float(w[j]);
    return sum;
  };
  float value = dot(column);
  if (silu) value = value / (1 + expf(-value)) * dot(outputs + column);
  out[i] = value * (row_scale == nullptr ? 1.0F : row_scale[row]);
}

Buffer<Value>& randomised(Buffer<Value>& buffer, float deviation, uint64_t seed) {
  fill_normal<<<1024, 256>>>(buffer.get(), buffer.count(), deviation, seed);
  return buffer;
}

// Sizes of groups that add up to `rows`; the spread is that of the logarithms.
std::vector<int32_t> ends_of(int64_t rows, int64_t groups, double spread, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal(0, spread);
  std::vector<double> weights(static_cast<size_t>(groups));
  for (double& weight : weights) weight = std::exp(normal(random));
  std::discrete_distribution<int> pick(weights.begin(), weights.end());
  std::vector<int32_t> ends(static_cast<size_t>(groups), 0);
  for (int64_t i = 0; i < rows; ++i) ++ends[static_cast<size_t>(pick(random))];
  for (size_t g = 1; g < ends.size(); ++g) ends[g] += ends[g - 1];
  return ends;
}

using Run = cudaError_t (*)(const GroupedGemm&, cudaStream_t);

double worst_error(Run run, int64_t rows, int64_t groups, int64_t n, int64_t k, bool silu,
                   double spread, bool scaled) {
  Buffer<Value> x(rows * k);
  Buffer<Value> weight(groups * n * k);
  randomised(x, 1, rows + 1);
  randomised(weight, 1 / std::sqrt(static_cast<float>(k)), k + 2);
  const std::vector<int32_t> ends = ends_of(rows, groups, spread, rows + n);
  std::vector<int32_t> group_of_row;
  for (size_t g = 0; g < ends.size(); ++g) {
    group_of_row.resize(static_cast<size_t>(ends[g]), static_cast<int32_t>(g));
  }
  std::vector<float> scales(static_cast<size_t>(rows));
  for (size_t i = 0; i < scales.size(); ++i) scales[i] = 0.25F + static_cast<float>(i % 7);
  const Buffer<int32_t> ends_there(ends);
  const Buffer<int32_t> group_there(group_of_row);
  const Buffer<float> scales_there(scales);
  const int64_t outputs = silu ? n / 2 : n;
  Buffer<float> expected(rows * outputs);
  Buffer<Value> out(rows * outputs);
  check(cudaMemset(out.get(), 0xff, out.count() * sizeof(Value)), "poison");
  const float* row_scale = silu && scaled ? scales_there.get() : nullptr;
  reference<<<static_cast<unsigned>((rows * outputs + 255) / 256), 256>>>(
      x.get(), weight.get(), group_there.get(), row_scale, expected.get(), static_cast<int>(rows),
      static_cast<int>(n), static_cast<int>(k), silu);
  GroupedGemm problem;
  problem.x = x.get();
  problem.weight = weight.get();
  problem.ends = groups == 1 ? nullptr : ends_there.get();
  problem.out = out.get();
  problem.rows = rows;
  problem.groups = groups;
  problem.n = n;
  problem.k = k;
  problem.silu_product = silu;
  problem.row_scale = row_scale;
  check(run(problem, nullptr), "launch");
  check(cudaDeviceSynchronize(), "run");
  const std::vector<float> wanted = expected.host();
  const std::vector<Value> got = out.host();
  double worst = 0;
  for (size_t i = 0; i < wanted.size(); ++i) {
    const double error = std::abs(__bfloat162float(got[i]) - wanted[i]) / (1 + std::abs(wanted[i]));
    if (!(error <= worst)) worst = std::isnan(error) ? HUGE_VAL : error;
  }
  return worst;
}

bool check_all(const char* name, Run run) {
  double worst = 0;
  int cases = 0;
  for (const int64_t rows : {1, 31, 32, 33, 127, 128, 129, 700, 3000}) {
    for (const int64_t groups : {1, 3, 60}) {
      for (const int64_t k : {8, 64, 200, 1408}) {
        for (const int64_t n : {16, 80, 256, 528, 2816}) {
          if (rows > 700 && n * k > 600 * 1408) continue;
          for (const bool silu : {false, true}) {
            worst =
                std::max(worst, worst_error(run, rows, groups, n, k, silu, 1.0, cases % 2 == 0));
            ++cases;
          }
        }
      }
    }
  }
  std::printf("%-26s %d cases, largest error %.4f %s\n", name, cases, worst,
              worst < 0.02 ? "ok" : "WRONG");
  return worst < 0.02;
}

struct Shape {
  const char* name;
  int64_t rows;
  int64_t groups;
  int64_t n;
  int64_t k;
  bool silu;
  double spread;
};

// The card slows down when it gets hot; every timing starts from the same rest.
void cool_down() {
  check(cudaDeviceSynchronize(), "run");
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
}

void time_shape(const char* name, Run run, const Shape& shape) {
  Buffer<Value> x(shape.rows * shape.k);
  Buffer<Value> weight(shape.groups * shape.n * shape.k);
  Buffer<Value> out(shape.rows * (shape.silu ? shape.n / 2 : shape.n));
  randomised(x, 1, 1);
  randomised(weight, 0.02F, 2);
  const Buffer<int32_t> ends(ends_of(shape.rows, shape.groups, shape.spread, 3));
  GroupedGemm problem;
  problem.x = x.get();
  problem.weight = weight.get();
  problem.ends = shape.groups == 1 ? nullptr : ends.get();
  problem.out = out.get();
  problem.rows = shape.rows;
  problem.groups = shape.groups;
  problem.n = shape.n;
  problem.k = shape.k;
  problem.silu_product = shape.silu;
  constexpr int kRounds = 21;
  cool_down();
  std::vector<cudaEvent_t> events(kRounds + 1);
  for (cudaEvent_t& event : events) check(cudaEventCreate(&event), "event");
  for (int i = 0; i < 20; ++i) check(run(problem, nullptr), "launch");
  for (int i = 0; i <= kRounds; ++i) {
    check(cudaEventRecord(events[i]), "record");
    if (i < kRounds) check(run(problem, nullptr), "launch");
  }
  check(cudaDeviceSynchronize(), "run");
  std::vector<float> times(kRounds);
  for (int i = 0; i < kRounds; ++i) cudaEventElapsedTime(&times[i], events[i], events[i + 1]);
  for (cudaEvent_t& event : events) cudaEventDestroy(event);
  std::nth_element(times.begin(), times.begin() + kRounds / 2, times.end());
  const double ms = times[kRounds / 2];
  std::printf("%-18s %-34s %7.3f ms %6.0f TFLOP/s\n", name, shape.name, ms,
              2e-9 * shape.rows * shape.n * shape.k / ms);
  std::fflush(stdout);
}

// Chains of products of registers, 8 sums in flight a warp.
__global__ void __launch_bounds__(256) tensor_core_loop(float* out, int rounds) {
  float sums[8][4] = {};
  const uint32_t a = 0x3f803f80U + threadIdx.x;
  const uint32_t b = 0x3f803f80U ^ threadIdx.x;
  for (int i = 0; i < rounds; ++i) {
#pragma unroll
    for (auto& sum : sums) {
      asm volatile(
          "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %4, %5, %5}, "
          "{%4, %5}, {%0, %1, %2, %3};"
          : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
          : "r"(a), "r"(b));
    }
  }
  float total = 0;
  for (auto& sum : sums) total += sum[0] + sum[1] + sum[2] + sum[3];
  out[blockIdx.x * blockDim.x + threadIdx.x] = total;
}

void time_tensor_cores() {
  constexpr int kBlocks = 132 * 8;
  constexpr int kRounds = 4000;
  Buffer<float> out(kBlocks * 256);
  cudaEvent_t begin;
  cudaEvent_t end;
  check(cudaEventCreate(&begin), "event");
  check(cudaEventCreate(&end), "event");
  cool_down();
  tensor_core_loop<<<kBlocks, 256>>>(out.get(), kRounds);
  cudaEventRecord(begin);
  for (int i = 0; i < 5; ++i) tensor_core_loop<<<kBlocks, 256>>>(out.get(), kRounds);
  cudaEventRecord(end);
  check(cudaDeviceSynchronize(), "run");
  float ms = 0;
  cudaEventElapsedTime(&ms, begin, end);
  std::printf("mma.sync from registers: %.0f TFLOP/s\n",
              5.0 * kBlocks * 8 * kRounds * 8 * 2 * 16 * 8 * 16 / ms * 1e-9);
}

bool is_hopper() {
  int major = 0;
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, 0), "attribute");
  return major == 9;
}

}  // namespace

int main(int argc, char** argv) {
  const int64_t tokens = argc > 1 ? std::atoll(argv[1]) : 32768;
  using foregate::kernels::grouped_gemm_sm80;
  using foregate::kernels::grouped_gemm_sm90;
  const bool hopper = is_hopper();
  bool ok = check_all("sm_80", grouped_gemm_sm80);
  if (hopper) ok = check_all("sm_90", grouped_gemm_sm90) && ok;
  const Shape shapes[] = {{"experts up and silu, binomial", 4 * tokens, 60, 2816, 2048, true, 0},
                          {"experts up and silu, uneven", 4 * tokens, 60, 2816, 2048, true, 0.3},
                          {"experts down, binomial", 4 * tokens, 60, 2048, 1408, false, 0},
                          {"experts down, uneven", 4 * tokens, 60, 2048, 1408, false, 0.3},
                          {"shared up and silu", tokens, 1, 11264, 2048, true, 0},
                          {"shared down", tokens, 1, 2048, 5632, false, 0},
                          {"qkv", tokens, 1, 6144, 2048, false, 0},
                          {"large", tokens / 2, 1, 8192, 8192, false, 0}};
  for (const Shape& shape : shapes) {
    time_shape("sm_80", grouped_gemm_sm80, shape);
    if (hopper) time_shape("sm_90", grouped_gemm_sm90, shape);
#ifdef FOREGATE_CUTLASS
    if (shape.groups > 1 || shape.silu) continue;
    time_shape("CUTLASS, 128 x 256", cutlass_gemm<128, 256, 64, 3>, shape);
    time_shape("CUTLASS, 256 x 128", cutlass_gemm<256, 128, 64, 3>, shape);
#endif
  }
  time_tensor_cores();
  return ok ? 0 : 1;
}
