# Toolchain for 64-bit Arm Linux (Jetson and other boards) from an x86-64 machine: Debian's and Ubuntu's
# g++-aarch64-linux-gnu. On the board itself no toolchain file is needed.
#   EFIQA_SYSROOT  the board's root file system (mounted or copied); needed for CUDA and TensorRT, whose
#                  libraries are taken from there. Without it only what needs neither is built.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CUDA_HOST_COMPILER aarch64-linux-gnu-g++)

set(EFIQA_SYSROOT "$ENV{EFIQA_SYSROOT}" CACHE PATH "root file system of the board")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES EFIQA_SYSROOT)
if(EFIQA_SYSROOT)
  set(CMAKE_SYSROOT "${EFIQA_SYSROOT}")
endif()
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

# Lets ctest run the tests on the building machine where qemu's user emulation is installed.
find_program(EFIQA_QEMU_AARCH64 qemu-aarch64)
if(EFIQA_QEMU_AARCH64 AND NOT EFIQA_SYSROOT)
  set(CMAKE_CROSSCOMPILING_EMULATOR "${EFIQA_QEMU_AARCH64};-L;/usr/aarch64-linux-gnu")
endif()
