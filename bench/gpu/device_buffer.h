#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <type_traits>
#include <vector>

// What the benchmarks of kernels share; an error of CUDA ends them.

inline void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
  std::exit(1);
}

/// Memory on the device, of zeros at first.
template <typename T>
class Buffer {
 public:
  explicit Buffer(int64_t count) : count_(count) {
    void* memory = nullptr;
    check(cudaMalloc(&memory, std::max<int64_t>(count, 1) * sizeof(T)), "cudaMalloc");
    data_.reset(static_cast<T*>(memory));
    check(cudaMemset(memory, 0, count * sizeof(T)), "cudaMemset");
  }
  explicit Buffer(const std::vector<T>& values) : Buffer(static_cast<int64_t>(values.size())) {
    check(cudaMemcpy(get(), values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice),
          "copy");
  }
  T* get() const { return data_.get(); }
  int64_t count() const { return count_; }
  std::vector<T> host() const {
    std::vector<T> values(static_cast<size_t>(count_));
    check(cudaMemcpy(values.data(), get(), values.size() * sizeof(T), cudaMemcpyDeviceToHost),
          "copy back");
    return values;
  }

 private:
  struct Free {
    void operator()(T* memory) const { cudaFree(const_cast<std::remove_const_t<T>*>(memory)); }
  };
  std::unique_ptr<T, Free> data_;
  int64_t count_;
};
