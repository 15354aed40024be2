# What a wheel of the Python package is built from: the libraries below its extension module, and it.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
set(OPENSSL_USE_STATIC_LIBS ON)  # a library that is loaded beside Python's own need not carry a second libcrypto
find_package(OpenSSL REQUIRED COMPONENTS Crypto)

foreach(folder base trace stats scoring capi)
  add_subdirectory("${CMAKE_SOURCE_DIR}/src/${folder}" "${CMAKE_BINARY_DIR}/src/${folder}")
endforeach()
add_subdirectory(python)
